package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/sigpost/sigpost/internal/hook"
)

// EventTypeImportOpenAPIIn has an OpenAPI document whose webhooks become event types.
type EventTypeImportOpenAPIIn struct {
	DryRun     bool    `json:"dryRun,omitempty" doc:"Say what would be modified, and modify nothing"`
	ReplaceAll bool    `json:"replaceAll,omitempty" doc:"Archive the event types that the document does not have"`
	Spec       Object  `json:"spec,omitempty" nullable:"true" doc:"The document, or else specRaw"`
	SpecRaw    *string `json:"specRaw,omitempty" nullable:"true" doc:"The document as JSON or YAML text"`
}

// EventTypeImportOpenAPIOut says what was modified.
type EventTypeImportOpenAPIOut struct {
	Data EventTypeImportOpenAPIOutData `json:"data"`
}

// EventTypeImportOpenAPIOutData is what was modified, or would be.
type EventTypeImportOpenAPIOutData struct {
	Modified []string               `json:"modified" doc:"Names; empty in a dry run"`
	ToModify []EventTypeFromOpenAPI `json:"to_modify,omitempty" nullable:"true" doc:"In a dry run: what would be modified"`
}

// EventTypeFromOpenAPI is an event type as the document has it.
type EventTypeFromOpenAPI struct {
	Name         string   `json:"name"`
	Description  string   `json:"description"`
	Schemas      Object   `json:"schemas,omitempty" nullable:"true"`
	Deprecated   bool     `json:"deprecated"`
	GroupName    *string  `json:"groupName,omitempty" nullable:"true"`
	FeatureFlags []string `json:"featureFlags,omitempty" nullable:"true"`
	Archived     bool     `json:"archived,omitempty" doc:"It is archived, because the document does not have it"`
}

func registerEventTypeImport(a *API) {
	register(a, operation{
		id: "event-type.import-openapi", method: http.MethodPost, path: "/api/v1/event-type/import/openapi", summary: "Make event types of the webhooks of an OpenAPI document",
		access: accessOrg, body: importLimit,
	}, a.importOpenAPI)
}

func (a *API) importOpenAPI(ctx context.Context, in *struct{ Body EventTypeImportOpenAPIIn }) (*Body[EventTypeImportOpenAPIOut], error) {
	doc, err := a.openAPI(&in.Body)
	if err != nil {
		return nil, err
	}
	types, err := webhooksOf(doc)
	if err != nil {
		return nil, err
	}
	out := EventTypeImportOpenAPIOutData{Modified: []string{}}
	err = a.edit(ctx, fmt.Sprint("event types ", caller(ctx).Org), func() error { return a.importTypes(ctx, types, &in.Body, &out) })
	return answer(EventTypeImportOpenAPIOut{out}), err
}

// importTypes makes the event types of a document those of the organization, or says in
// out what that would modify. Those that it has modified it does not modify again.
func (a *API) importTypes(ctx context.Context, types []hook.EventType, in *EventTypeImportOpenAPIIn, out *EventTypeImportOpenAPIOutData) error {
	changed, err := a.changedBy(ctx, types, in.ReplaceAll)
	if err != nil {
		return err
	}
	for _, t := range changed {
		if in.DryRun {
			out.ToModify = append(out.ToModify, EventTypeFromOpenAPI{
				Name: t.Name, Description: t.Description, Schemas: Object(t.Schemas), Deprecated: t.Deprecated, GroupName: pointer(t.GroupName),
				FeatureFlags: t.FeatureFlags, Archived: t.Archived,
			})
			continue
		}
		if _, err := a.Store.PutEventType(ctx, t); err != nil {
			return err
		}
		out.Modified = append(out.Modified, t.Name)
	}
	return nil
}

// openAPI reads the document of a request in either of its forms.
func (a *API) openAPI(in *EventTypeImportOpenAPIIn) (map[string]any, error) {
	raw := []byte(in.Spec)
	if isNull(in.Spec) == (in.SpecRaw == nil) {
		return nil, newFault(http.StatusBadRequest, "give the document either as spec or as specRaw")
	}
	if in.SpecRaw != nil {
		v, err := a.ParseYAML([]byte(*in.SpecRaw))
		if err != nil {
			return nil, invalid(clip(err.Error()), "body", "specRaw")
		}
		if !fits(v, importLimit) { // what aliases stand for is longer than what was sent
			return nil, invalid("is longer than 8 MiB with all that its aliases stand for", "body", "specRaw")
		}
		if raw, err = json.Marshal(v); err != nil {
			return nil, invalid("has something that JSON cannot say, such as a key that is not text", "body", "specRaw")
		}
	}
	var doc map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // numbers of schemas stay as they are written
	if err := d.Decode(&doc); err != nil || doc == nil {
		return nil, invalid("is not an OpenAPI document: it is an object with webhooks or x-webhooks", "body", "spec")
	}
	return doc, nil
}

// fits says whether v has no more than about so many bytes as JSON.
func fits(v any, most int) bool {
	left := most
	var count func(v any) bool
	count = func(v any) bool {
		if left -= weight(v); left < 0 {
			return false
		}
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				if !count(x) {
					return false
				}
			}
		case map[string]any:
			for _, x := range v {
				if !count(x) {
					return false
				}
			}
		case map[any]any:
			for _, x := range v {
				if !count(x) {
					return false
				}
			}
		}
		return true
	}
	return count(v)
}

// clip bounds what an error says of a document.
func clip(s string) string {
	const most = 300
	return strings.ToValidUTF8(s[:min(len(s), most)], "")
}

// changedBy are the event types of a document that are not there in the same
// form, and, when all are replaced, those that it does not have, archived.
func (a *API) changedBy(ctx context.Context, types []hook.EventType, replaceAll bool) ([]hook.EventType, error) {
	var changed []hook.EventType
	there := map[string]hook.EventType{}
	err := a.allEventTypes(ctx, true, func(t *hook.EventType) { there[t.Name] = *t })
	if err != nil {
		return nil, err
	}
	for _, t := range types {
		old, known := there[t.Name]
		delete(there, t.Name)
		t.Org, t.UpdatedAt = caller(ctx).Org, old.UpdatedAt
		if t.GroupName == "" {
			t.GroupName = old.GroupName
		}
		if t.FeatureFlags == nil {
			t.FeatureFlags = old.FeatureFlags
		}
		same := known && !old.Archived && old.Description == t.Description && old.Deprecated == t.Deprecated && old.GroupName == t.GroupName &&
			slices.Equal(old.FeatureFlags, t.FeatureFlags) && bytes.Equal(old.Schemas, t.Schemas)
		if !same {
			changed = append(changed, t)
		}
	}
	if !replaceAll {
		return changed, nil
	}
	for _, name := range slices.Sorted(maps.Keys(there)) {
		if t := there[name]; !t.Archived {
			t.Archived = true
			changed = append(changed, t)
		}
	}
	return changed, nil
}

// mostWebhooks bounds one document.
const mostWebhooks = 1000

// webhooksOf makes an event type of each webhook of a document, in the order of their names.
func webhooksOf(doc map[string]any) ([]hook.EventType, error) {
	hooks, ok := doc["webhooks"].(map[string]any)
	if !ok {
		hooks, ok = doc["x-webhooks"].(map[string]any)
	}
	if !ok {
		return nil, invalid("has neither webhooks nor x-webhooks at the top level", "body", "spec")
	}
	if len(hooks) > mostWebhooks {
		return nil, invalid("has more than 1000 webhooks; import it in parts", "body", "spec", "webhooks")
	}
	var types []hook.EventType
	for _, name := range slices.Sorted(maps.Keys(hooks)) {
		t, err := webhook(doc, name, hooks[name])
		if err != nil {
			return nil, invalid(err.Error(), "body", "spec", "webhooks", clip(name))
		}
		types = append(types, t)
	}
	return types, nil
}

// webhook is the event type of one webhook.
func webhook(doc map[string]any, name string, item any) (t hook.EventType, err error) {
	if !isTypeName(name) {
		return t, fmt.Errorf("the name of an event type has letters, digits, and the characters - _ . only, at most 256")
	}
	d := inliner{doc: doc, open: map[string]bool{}}
	path, err := d.object(item)
	if err != nil {
		return t, err
	}
	op := operationOf(path)
	if op == nil {
		return t, fmt.Errorf("has no operation, such as post")
	}
	t = hook.EventType{Name: name, Description: firstText(op, path, name), Deprecated: op["deprecated"] == true}
	for _, from := range []map[string]any{path, op} {
		if err := extensions(from, &t); err != nil {
			return t, err
		}
	}
	body, err := d.object(op["requestBody"])
	if err != nil {
		return t, err
	}
	if schema := jsonSchemaOf(body); schema != nil {
		if schema, err = d.inline(schema, 0); err != nil {
			return t, err
		}
		if t.Schemas, err = json.Marshal(map[string]any{"1": schema}); err != nil {
			return t, err
		}
	}
	if len(t.Schemas) > maxSchemas {
		return t, fmt.Errorf("has a schema that is longer than 512 KiB with all that it refers to")
	}
	return t, checkText("description", t.Description, 16384)
}

func operationOf(path map[string]any) map[string]any {
	for _, method := range []string{"post", "put", "patch", "get", "delete"} {
		if op, ok := path[method].(map[string]any); ok {
			return op
		}
	}
	return nil
}

// firstText is what describes a webhook best.
func firstText(op, path map[string]any, name string) string {
	for _, from := range []map[string]any{op, path} {
		for _, field := range []string{"description", "summary"} {
			if s, ok := from[field].(string); ok && s != "" {
				return s
			}
		}
	}
	return name
}

// extensions reads what OpenAPI has no field for: the group and the feature flags, as
// in x-group-name or x-…-feature-flags.
func extensions(from map[string]any, t *hook.EventType) error {
	for _, key := range slices.Sorted(maps.Keys(from)) {
		word := strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(key))
		if !strings.HasPrefix(key, "x-") {
			continue
		}
		switch {
		case strings.HasSuffix(word, "groupname"):
			name, ok := from[key].(string)
			if !ok || !isTypeName(name) {
				return fmt.Errorf("%s is not the name of a group", clip(key))
			}
			t.GroupName = name
		case strings.HasSuffix(word, "featureflags"), strings.HasSuffix(word, "featureflag"):
			flags, err := flagsOf(from[key])
			if err != nil {
				return fmt.Errorf("%s %w", clip(key), err)
			}
			t.FeatureFlags = flags
		}
	}
	return nil
}

func flagsOf(v any) (flags []string, err error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, item := range list {
		s, ok := item.(string)
		if !ok || !isTypeName(s) || len(list) > 100 {
			return nil, fmt.Errorf("is not a list of feature flags")
		}
		flags = append(flags, s)
	}
	return flags, nil
}

// jsonSchemaOf is the schema of a request body in JSON; nil when it has none.
func jsonSchemaOf(body map[string]any) any {
	content, _ := body["content"].(map[string]any)
	for _, kind := range append([]string{"application/json"}, slices.Sorted(maps.Keys(content))...) {
		media, ok := content[kind].(map[string]any)
		if ok && strings.Contains(kind, "json") {
			return media["schema"]
		}
	}
	return nil
}
