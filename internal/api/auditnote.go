package api

import (
	"context"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// What is written into the audit log is found here for all operations at once: from what
// an operation is declared to be, its parameters, the fields that its body gave, and the answer.

// audited says whether an operation is worth an entry: it changes something, or shows a
// secret. Messages that are sent are not; they are kept themselves.
func audited(op *operation) bool {
	switch op.access {
	case accessSecret:
		return true
	case accessOpen, accessSignIn, accessRead, accessTypes, accessOrgRead, accessSend:
		return false // signing in is noted where it is known who it was
	}
	return op.method != http.MethodGet
}

// note writes an entry about what a caller did. The change is made already; when the
// log cannot be written, it stays, and that is an error of ours.
func (a *API) note(ctx context.Context, op *operation, in, out any) {
	c := caller(ctx)
	e := hook.Audit{Org: c.Org, Actor: a.actor(c), Action: op.id, Changes: changesOf(in)}
	e.Object, e.Parent = a.objectOf(op, in, out)
	a.addAudit(ctx, e)
}

// addAudit keeps an entry, though nobody may wait for its answer any more.
func (a *API) addAudit(ctx context.Context, e hook.Audit) {
	if addr := senderOf(ctx).addr(); addr.IsValid() {
		e.Remote = addr.String()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTime)
	defer cancel()
	if err := a.Store.AddAudit(ctx, e); err != nil {
		a.Log.ErrorContext(ctx, "change not in the audit log", "action", e.Action, "object", e.Object.ID, "actor", e.Actor.ID, "error", err)
	}
}

// auditTime is how long an entry may wait for the store.
const auditTime = 5 * time.Second

// actor is who a caller is in the log.
func (a *API) actor(c *Caller) hook.Actor {
	switch {
	case c.User != nil:
		return hook.Actor{Kind: hook.ActorUser, ID: a.IDs.Public(hook.KindUser, c.User.ID), Name: c.User.Name}
	case c.Token != 0:
		return hook.Actor{Kind: hook.ActorToken, ID: a.IDs.Public(hook.KindToken, c.Token), Name: c.Name}
	case c.Operator:
		return hook.Actor{Kind: hook.ActorOperator, Name: "command line"}
	}
	return hook.Actor{Kind: hook.ActorToken, Name: "JWT"}
}

// paramKinds are what the parameters of paths name.
var paramKinds = map[string]string{
	"app_id": "application", "endpoint_id": "endpoint", "source_id": "source", "msg_id": "message", "event_type_name": "event-type", "token_id": "token",
	"task_id": "background-task", "delivery_id": "delivery", "attempt_id": "attempt", "rejected_id": "rejected", "user_id": "user", "secret_id": "secret",
}

// kindPrefixes are how the ids of kinds begin that may be named by a uid.
var kindPrefixes = map[string]hook.Kind{"application": hook.KindApplication, "endpoint": hook.KindEndpoint, "source": hook.KindSource}

// objectOf is what was done something to: what was made, or the last thing of the path.
// parent is the application or source before it.
func (a *API) objectOf(op *operation, in, out any) (object, parent hook.Named) {
	params := pathParams(op.path, reflect.ValueOf(in))
	if len(params) > 0 {
		object = params[len(params)-1]
		params = params[:len(params)-1]
	}
	made, name := answered(out)
	switch {
	case op.status == http.StatusCreated && made != "" && !strings.HasSuffix(op.path, "}"):
		if object.ID != "" {
			params = append(params, object)
		}
		object = hook.Named{Kind: kindOfTag(op.id), ID: made, Name: name}
	case object.ID == "" && made != "":
		object = hook.Named{Kind: kindOfTag(op.id), ID: made, Name: name}
	case object.ID == "":
		object.Kind = kindOfTag(op.id)
	default:
		object.Name = name
		if prefix := kindPrefixes[object.Kind]; prefix != "" && strings.HasPrefix(made, string(prefix)) {
			object.ID = made // the path may have had a uid
		}
	}
	if len(params) > 0 {
		parent = params[0]
	}
	return object, parent
}

// kindOfTag is what the operations of a section are about.
func kindOfTag(id string) string {
	t := tag(id)
	return t[strings.LastIndexByte(t, '.')+1:]
}

// pathParams are the things that a path names, in its order.
func pathParams(path string, in reflect.Value) (list []hook.Named) {
	values := map[string]string{}
	eachField(in, func(f reflect.StructField, v reflect.Value) {
		if name := f.Tag.Get("path"); name != "" && v.Kind() == reflect.String {
			values[name] = v.String()
		}
	})
	for _, part := range strings.Split(path, "/") {
		name, ok := strings.CutPrefix(part, "{")
		name = strings.TrimSuffix(name, "}")
		if !ok || values[name] == "" {
			continue
		}
		kind := paramKinds[name]
		if kind == "" {
			kind = name
		}
		list = append(list, hook.Named{Kind: kind, ID: values[name]})
	}
	return list
}

// answered are the id and the name in the body of an answer, where it has them.
func answered(out any) (id, name string) {
	v := reflect.Indirect(reflect.ValueOf(out))
	if v.Kind() != reflect.Struct {
		return "", ""
	}
	body := v.FieldByName("Body")
	if body.Kind() != reflect.Struct {
		return "", ""
	}
	if f := body.FieldByName("ID"); f.Kind() == reflect.String {
		id = f.String()
	}
	if f := body.FieldByName("Name"); f.Kind() == reflect.String {
		name = f.String()
	}
	return id, name
}

// eachField calls f for the fields of a struct and of those that are embedded in it.
func eachField(v reflect.Value, f func(reflect.StructField, reflect.Value)) {
	v = reflect.Indirect(v)
	if v.Kind() != reflect.Struct {
		return
	}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		switch {
		case field.Anonymous:
			eachField(v.Field(i), f)
		case field.IsExported():
			f(field, v.Field(i))
		}
	}
}

// changesOf are the fields that the body of a request gave.
func changesOf(in any) []hook.Change {
	var list []hook.Change
	v := reflect.Indirect(reflect.ValueOf(in))
	if v.Kind() == reflect.Struct {
		if body := v.FieldByName("Body"); body.IsValid() {
			list = appendChanges(nil, "", body)
		}
	}
	slices.SortFunc(list, func(x, y hook.Change) int { return strings.Compare(x.Field, y.Field) })
	return list
}

func appendChanges(list []hook.Change, prefix string, v reflect.Value) []hook.Change {
	eachField(v, func(f reflect.StructField, v reflect.Value) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			return
		}
		given, null, v := givenValue(v)
		switch {
		case !given:
		case null:
			list = append(list, hook.Change{Field: prefix + name, To: "null"})
		case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]() && prefix == "":
			list = appendChanges(list, name+".", v)
		default:
			list = append(list, hook.Change{Field: prefix + name, To: harmless(f, v)})
		}
	})
	return list
}

// givenValue is the value of a field of a request, if it was given: behind a pointer, or in a
// field of a PATCH, which may be null.
func givenValue(v reflect.Value) (given, null bool, _ reflect.Value) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return false, false, v
		}
		return true, false, v.Elem()
	}
	if v.Kind() == reflect.Struct {
		if set := v.FieldByName("Set"); set.IsValid() && set.Kind() == reflect.Bool {
			return set.Bool(), v.FieldByName("Null").Bool(), v.FieldByName("Value")
		}
		return true, false, v
	}
	return !v.IsZero(), false, v
}

// harmless is a value if it cannot be secret: yes or no, a number, one of a public list of
// words, or where a URL leads to.
func harmless(f reflect.StructField, v reflect.Value) any {
	switch {
	case v.Kind() == reflect.Bool:
		return v.Bool()
	case v.CanInt():
		return v.Int()
	case v.CanUint():
		return v.Uint()
	case v.Kind() == reflect.String && f.Tag.Get("enum") != "":
		return v.String()
	case v.Kind() == reflect.String && f.Name == "URL":
		if u, err := url.Parse(v.String()); err == nil && u.Host != "" {
			return u.Scheme + "://" + u.Host
		}
	}
	return nil
}
