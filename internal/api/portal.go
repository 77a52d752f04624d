package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// PortalSettingsOut are how an organization's portals look and who may show them.
type PortalSettingsOut struct {
	AllowedOrigins  []string `json:"allowedOrigins" doc:"Pages of these origins may show a portal in a frame, and their scripts may call the API with a portal's token"`
	Colour          *string  `json:"colour" nullable:"true" doc:"#rrggbb"`
	Logo            *string  `json:"logo" nullable:"true" doc:"data:image/…;base64,…"`
	ReadOnlyDefault bool     `json:"readOnlyDefault" doc:"What portals are whose maker does not say readOnly"`
}

// PortalSettingsPatch changes them; what is left out stays.
type PortalSettingsPatch struct {
	AllowedOrigins  []string      `json:"allowedOrigins,omitempty" maxItems:"20" maxLength:"300" doc:"All of them; https, or http of localhost"`
	Colour          Maybe[string] `json:"colour,omitzero" maxLength:"7"`
	Logo            Maybe[string] `json:"logo,omitzero" maxLength:"49152"`
	ReadOnlyDefault *bool         `json:"readOnlyDefault,omitempty"`
}

func portalSettingsOut(p *hook.PortalSettings) PortalSettingsOut {
	out := PortalSettingsOut{AllowedOrigins: strings.Fields(p.Origins), Colour: pointer(p.Colour), Logo: pointer(p.Logo), ReadOnlyDefault: p.ReadOnly}
	if out.AllowedOrigins == nil {
		out.AllowedOrigins = []string{}
	}
	return out
}

func (in *PortalSettingsPatch) into(p *hook.PortalSettings) error {
	if in == nil {
		return nil
	}
	if in.AllowedOrigins != nil {
		list := slices.Clone(in.AllowedOrigins)
		for _, o := range list {
			if strings.ContainsAny(o, " \t\r\n") || o == "" {
				return invalid("holds white space, or nothing", "body", "portal", "allowedOrigins")
			}
		}
		slices.Sort(list)
		p.Origins = strings.Join(slices.Compact(list), " ")
	}
	in.Colour.into(&p.Colour)
	in.Logo.into(&p.Logo)
	if in.ReadOnlyDefault != nil {
		p.ReadOnly = *in.ReadOnlyDefault
	}
	return checkPortal(p)
}

func checkPortal(p *hook.PortalSettings) error {
	if field, why := p.Check(); why != "" {
		return invalid(why, "body", "portal", field)
	}
	return nil
}

// PortalAncestors are the origins whose pages may show a portal of an organization in a
// frame, for the header Content-Security-Policy of the portal's page. An id that is none has none.
func (a *API) PortalAncestors(ctx context.Context, org string) ([]string, error) {
	if org == "" {
		return nil, nil
	}
	id, err := a.IDs.Key(hook.KindOrganization, org)
	if err != nil {
		return nil, nil // nobody's
	}
	p, err := a.portalOf(ctx, id)
	if err != nil || p == nil {
		return nil, err
	}
	return strings.Fields(p.Origins), nil
}

// portalOf are the portal settings of an organization, as they were a moment ago; nil when there is none.
func (a *API) portalOf(ctx context.Context, org hook.Key) (*hook.PortalSettings, error) {
	now := time.Now()
	if p, ok := a.portals.find(org, now); ok {
		return p, nil
	}
	o, err := a.Store.Organization(ctx, org)
	if err != nil && !isNotFound(err) {
		return nil, err
	}
	var p *hook.PortalSettings
	if err == nil {
		p = &o.Settings.Portal
	}
	a.portals.add(org, p, now, time.Time{})
	return p, nil
}

// allOrigins are those of all organizations: who asks before a request with what
// methods it may come shows no token yet.
func (a *API) allOrigins(ctx context.Context) (map[string]bool, error) {
	now := time.Now()
	if all, ok := a.framers.find(struct{}{}, now); ok {
		return all, nil
	}
	orgs, err := a.Store.Organizations(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for i := range orgs {
		for o := range strings.FieldsSeq(orgs[i].Settings.Portal.Origins) {
			all[o] = true
		}
	}
	a.framers.add(struct{}{}, all, now, time.Time{})
	return all, nil
}

// sharedHeaders are those that a page of another origin may send: what the API reads, and
// what the SDK sends with each request. A browser asks for all and sends nothing when one
// is missing; User-Agent is asked for by those that let scripts set it.
const sharedHeaders = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Svix-Req-Id, Svix-Retry-Count, User-Agent"

// preflight answers a browser that asks whether a page of another origin may make a request
// (Fetch Standard, 3.2). Cookies are never allowed: such pages have a portal's token.
func (a *API) preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	all, err := a.allOrigins(r.Context())
	if err != nil {
		a.fail(w, r, err)
		return
	}
	if origin := r.Header.Get("Origin"); all[origin] {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
		h.Set("Access-Control-Allow-Headers", sharedHeaders)
		h.Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
}

// share lets a page of another origin read the answer, when the caller has the token of
// a portal and his organization allows the origin.
func (a *API) share(w http.ResponseWriter, r *http.Request, c *Caller) error {
	origin := r.Header.Get("Origin")
	if origin == "" || c.Scope != hook.ScopeApp {
		return nil
	}
	p, err := a.portalOf(r.Context(), c.Org)
	if err != nil || p == nil || !p.Allows(origin) {
		return err
	}
	letRead(w, origin)
	return nil
}

// shareRefusal lets a page of an origin that anybody allows read that its token counts for
// nothing, as far as that is known: it then asks its own server for another one. All that
// it learns is what the token's holder learns without a browser.
func (a *API) shareRefusal(w http.ResponseWriter, r *http.Request) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return
	}
	if all, err := a.allOrigins(r.Context()); err == nil && all[origin] {
		letRead(w, origin)
	}
}

func letRead(w http.ResponseWriter, origin string) {
	w.Header().Set("Access-Control-Allow-Origin", origin)
	w.Header().Set("Access-Control-Expose-Headers", "Retry-After, Idempotency-Replayed")
}
