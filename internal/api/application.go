package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// AppPath names an application in a path.
type AppPath struct {
	AppID string `path:"app_id" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The application's id or uid"`
}

// ApplicationIn makes or replaces an application.
type ApplicationIn struct {
	Name         string            `json:"name" minLength:"1" maxLength:"1024"`
	ThrottleRate *int              `json:"throttleRate,omitempty" minimum:"1" maximum:"65535" doc:"Messages a second"`
	RateLimit    *int              `json:"rateLimit,omitempty" minimum:"1" maximum:"65535" doc:"Earlier name of throttleRate"`
	UID          *string           `json:"uid,omitempty" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"Your own id for it"`
	Metadata     map[string]string `json:"metadata,omitempty"`
}

// ApplicationPatch changes an application.
type ApplicationPatch struct {
	Name         *string           `json:"name,omitempty" minLength:"1" maxLength:"1024"`
	ThrottleRate Maybe[int]        `json:"throttleRate,omitzero" minimum:"0" maximum:"65535"`
	RateLimit    Maybe[int]        `json:"rateLimit,omitzero" minimum:"0" maximum:"65535"`
	UID          Maybe[string]     `json:"uid,omitzero" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	Metadata     map[string]string `json:"metadata,omitempty"`
}

// ApplicationOut is an application.
type ApplicationOut struct {
	ID           string            `json:"id"`
	UID          *string           `json:"uid,omitempty" nullable:"true"`
	Name         string            `json:"name"`
	ThrottleRate *int              `json:"throttleRate,omitempty" nullable:"true"`
	RateLimit    *int              `json:"rateLimit,omitempty" nullable:"true"`
	Metadata     map[string]string `json:"metadata"`
	CreatedAt    time.Time         `json:"createdAt"`
	UpdatedAt    time.Time         `json:"updatedAt"`
}

func (a *API) applicationOut(x hook.Application) ApplicationOut {
	return ApplicationOut{
		ID: a.IDs.Public(hook.KindApplication, x.ID), UID: pointer(x.UID), Name: x.Name, ThrottleRate: pointer(x.Throttle), RateLimit: pointer(x.Throttle),
		Metadata: orEmpty(x.Metadata), CreatedAt: when(x.CreatedAt), UpdatedAt: when(x.UpdatedAt),
	}
}

// into puts what a caller sent into an application.
func (in *ApplicationIn) into(x *hook.Application) error {
	uid := value(in.UID)
	if err := checkUID(uid, hook.KindApplication); err != nil {
		return err
	}
	if err := checkText("name", in.Name, 1024); err != nil {
		return err
	}
	x.Name, x.UID, x.Throttle, x.Metadata = in.Name, uid, value(first(in.ThrottleRate, in.RateLimit)), in.Metadata
	return checkMetadata(in.Metadata)
}

func registerApplications(a *API) {
	const all, one = "/api/v1/app", "/api/v1/app/{app_id}"
	register(a, operation{id: "application.list", method: http.MethodGet, path: all, summary: "List applications", access: accessOrgRead}, a.listApplications)
	register(a, operation{id: "application.create", method: http.MethodPost, path: all, summary: "Create an application", access: accessOrg, status: http.StatusCreated, also: http.StatusOK}, a.createApplication)
	register(a, operation{id: "application.get", method: http.MethodGet, path: one, summary: "Read an application", access: accessRead}, a.readApplication)
	register(a, operation{id: "application.upsert", method: http.MethodPut, path: one, summary: "Create or replace an application", access: accessOrg, also: http.StatusCreated}, a.putApplication)
	register(a, operation{id: "application.patch", method: http.MethodPatch, path: one, summary: "Change an application", access: accessOrg}, a.patchApplication)
	register(a, operation{id: "application.delete", method: http.MethodDelete, path: one, summary: "Delete an application", access: accessOrg, status: http.StatusNoContent}, a.deleteApplication)
}

// app finds an application by its id or uid, among those that the caller reaches.
func (a *API) app(ctx context.Context, ref string) (x hook.Application, err error) {
	c := caller(ctx)
	if strings.HasPrefix(ref, string(hook.KindApplication)) {
		id, kerr := a.IDs.Key(hook.KindApplication, ref)
		if kerr != nil {
			return x, kerr
		}
		x, err = a.Store.Application(ctx, c.Org, id)
	} else {
		x, err = a.Store.ApplicationByUID(ctx, c.Org, ref)
	}
	if err == nil && !c.reaches(x.ID) {
		return hook.Application{}, hook.Errorf(hook.CodeNotFound, "there is no application %s", ref)
	}
	return x, err
}

// appToSend is app for those who send: it may be a second old.
func (a *API) appToSend(ctx context.Context, ref string) (hook.Application, error) {
	c, now := caller(ctx), time.Now()
	at := appRef{c.Org, ref}
	if x, ok := a.apps.find(at, now); ok && c.reaches(x.ID) {
		return x, nil
	}
	x, err := a.app(ctx, ref)
	if err == nil {
		a.apps.add(at, x, now, time.Time{})
	}
	return x, err
}

func isNotFound(err error) bool { return err != nil && hook.CodeOf(err) == hook.CodeNotFound }

func (a *API) listApplications(ctx context.Context, in *struct {
	OrderedIn
	WithEndpoints bool `query:"exclude_apps_with_no_endpoints" doc:"Leave out applications that have no endpoints"`
	WithEnabled   bool `query:"exclude_apps_with_disabled_endpoints" doc:"Leave out applications whose endpoints are all disabled"`
	WithoutPlay   bool `query:"exclude_apps_with_svix_play_endpoints" doc:"Changes nothing: there are no such endpoints here"`
}) (*Body[ListOut[ApplicationOut]], error) {
	p, back, err := a.page(in.ListIn, hook.KindApplication, in.Order == "ascending")
	if err != nil {
		return nil, err
	}
	limit := p.Limit
	p.Limit++
	rows, err := a.Store.Applications(ctx, caller(ctx).Org, p, hook.AppFilter{WithEndpoints: in.WithEndpoints, WithEnabledEndpoints: in.WithEnabled})
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, limit, func(x *hook.Application) hook.Key { return x.ID })
	out, keys := make([]ApplicationOut, len(rows)), make([]hook.Key, len(rows))
	for i, x := range rows {
		out[i], keys[i] = a.applicationOut(x), x.ID
	}
	return listOut(a, hook.KindApplication, out, keys, next, in.ListIn, back), nil
}

// cut takes the row away that says that there are more, and returns where the
// list goes on: 0 at its end.
func cut[T any](rows []T, limit int, key func(*T) hook.Key) ([]T, hook.Key) {
	if len(rows) <= limit {
		return rows, 0
	}
	return rows[:limit], key(&rows[limit-1])
}

func (a *API) createApplication(ctx context.Context, in *struct {
	GetIfExists bool `query:"get_if_exists" doc:"Return the application with this uid when there is one"`
	Body        ApplicationIn
}) (*Body[ApplicationOut], error) {
	x := hook.Application{Org: caller(ctx).Org}
	if err := in.Body.into(&x); err != nil {
		return nil, err
	}
	made, err := a.Store.CreateApplication(ctx, x)
	if in.GetIfExists && x.UID != "" && err != nil && hook.CodeOf(err) == hook.CodeConflict {
		there, err := a.Store.ApplicationByUID(ctx, x.Org, x.UID)
		return answerWith(http.StatusOK, a.applicationOut(there)), err
	}
	return answerWith(http.StatusCreated, a.applicationOut(made)), err
}

func (a *API) readApplication(ctx context.Context, in *struct{ AppPath }) (*Body[ApplicationOut], error) {
	x, err := a.app(ctx, in.AppID)
	return answerWith(http.StatusOK, a.applicationOut(x)), err
}

func (a *API) putApplication(ctx context.Context, in *struct {
	AppPath
	Body ApplicationIn
}) (*Body[ApplicationOut], error) {
	x, err := a.app(ctx, in.AppID)
	in.Body.UID = keptUID(in.Body.UID, in.AppID, hook.KindApplication)
	if isNotFound(err) && !strings.HasPrefix(in.AppID, string(hook.KindApplication)) {
		x = hook.Application{Org: caller(ctx).Org}
		if err := in.Body.into(&x); err != nil {
			return nil, err
		}
		x, err = a.Store.CreateApplication(ctx, x)
		return answerWith(http.StatusCreated, a.applicationOut(x)), err
	}
	if err != nil {
		return nil, err
	}
	x, err = a.editApplication(ctx, x, in.Body.into)
	return answerWith(http.StatusOK, a.applicationOut(x)), err
}

// editApplication changes an application as it is now.
func (a *API) editApplication(ctx context.Context, x hook.Application, change func(*hook.Application) error) (hook.Application, error) {
	defer a.apps.clear()
	org, id, throttle := x.Org, x.ID, x.Throttle
	err := a.edit(ctx, fmt.Sprint("application ", id), func() (err error) {
		if x, err = a.Store.Application(ctx, org, id); err != nil {
			return err
		}
		if err := notHidden(x); err != nil {
			return err
		}
		throttle = x.Throttle
		if err := change(&x); err != nil {
			return err
		}
		x, err = a.Store.UpdateApplication(ctx, x)
		return err
	})
	if err != nil || x.Throttle == throttle {
		return x, err
	}
	return x, a.Runtime.AppChanged(ctx, id)
}

// notHidden refuses to change what belongs to a source.
func notHidden(x hook.Application) error {
	if x.Kind == hook.AppCustomer {
		return nil
	}
	return hook.Errorf(hook.CodeConflict, "this application belongs to a source; change the source")
}

func (a *API) patchApplication(ctx context.Context, in *struct {
	AppPath
	Body ApplicationPatch
}) (*Body[ApplicationOut], error) {
	x, err := a.app(ctx, in.AppID)
	if err != nil {
		return nil, err
	}
	x, err = a.editApplication(ctx, x, in.Body.into)
	return answerWith(http.StatusOK, a.applicationOut(x)), err
}

func (in *ApplicationPatch) into(x *hook.Application) error {
	if in.Name != nil {
		x.Name = *in.Name
	}
	in.RateLimit.into(&x.Throttle)
	in.ThrottleRate.into(&x.Throttle)
	in.UID.into(&x.UID)
	if in.Metadata != nil {
		x.Metadata = in.Metadata
	}
	if err := checkUID(x.UID, hook.KindApplication); err != nil {
		return err
	}
	if err := checkText("name", x.Name, 1024); err != nil {
		return err
	}
	return checkMetadata(x.Metadata)
}

func (a *API) deleteApplication(ctx context.Context, in *struct{ AppPath }) (*None, error) {
	x, err := a.app(ctx, in.AppID)
	if err != nil {
		return nil, err
	}
	if err := notHidden(x); err != nil {
		return nil, err
	}
	if err := a.Store.DeleteApplication(ctx, x.Org, x.ID, time.Now()); err != nil {
		return nil, err
	}
	a.tokens.clear()
	a.apps.clear()
	return nil, a.Runtime.AppChanged(ctx, x.ID)
}
