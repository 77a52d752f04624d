package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// SourcePath names a source in a path.
type SourcePath struct {
	SourceID string `path:"source_id" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The source's id or uid"`
}

// IngestSourceIn makes or replaces a source.
type IngestSourceIn struct {
	Name     string            `json:"name" minLength:"2" maxLength:"256"`
	UID      *string           `json:"uid,omitempty" minLength:"1" maxLength:"60" pattern:"^[a-zA-Z0-9_\\-]+$" doc:"Your own id for it"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Type     *string           `json:"type,omitempty" minLength:"1" maxLength:"64" doc:"Who sends, for example stripe"`
	Config   *SourceConfigIn   `json:"config,omitempty"`
	IngestSourceExtension
}

// SourceConfigIn is what a type of source needs.
type SourceConfigIn struct {
	Secret *string `json:"secret,omitempty" maxLength:"1024" doc:"What the sender signs with; after a change the old one stays valid for 24 hours"`
}

// IngestSourceExtension is what Sigpost adds. What is left out of a PUT stays as it is.
type IngestSourceExtension struct {
	Provider       *string  `json:"provider,omitempty" minLength:"1" maxLength:"64" doc:"One of this server's providers by its name, instead of type"`
	Secrets        []string `json:"secrets,omitempty" maxItems:"10" minLength:"1" maxLength:"1024" doc:"All secrets that are valid, the newest first, instead of config"`
	OnBadSignature *string  `json:"onBadSignature,omitempty" enum:"reject,quarantine" doc:"What becomes of requests whose signature does not verify"`
	OnDuplicate    *string  `json:"onDuplicate,omitempty" enum:"drop,forward" doc:"What becomes of events that come again"`
	AllowIPs       []string `json:"allowIps,omitempty" maxItems:"256" maxLength:"64" doc:"Networks that may send; all when empty"`
	ProviderIPs    *bool    `json:"providerIps,omitempty" doc:"Adds the addresses that the provider publishes to allowIps"`
	MaxBody        *int64   `json:"maxBody,omitempty" minimum:"0" maximum:"20971520" doc:"Longest body in bytes; 0 is the default, 1 MiB"`
	FlowID         *string  `json:"flowId,omitempty" maxLength:"256" doc:"The only flow whose events are taken, where the provider has flows"`
	ForwardHeaders []string `json:"forwardHeaders,omitempty" maxItems:"50" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9!#$%&'*+.^_|~\\-]+$" doc:"Headers that go on although they are withheld otherwise"`
}

// IngestSourceOut is a source. Secrets are never shown.
type IngestSourceOut struct {
	ID        string            `json:"id"`
	UID       *string           `json:"uid,omitempty" nullable:"true"`
	Name      string            `json:"name"`
	Type      string            `json:"type"`
	Config    *Empty            `json:"config,omitempty"`
	IngestURL *string           `json:"ingestUrl" nullable:"true" required:"false" doc:"The URL to paste at the provider"`
	Metadata  map[string]string `json:"metadata"`
	CreatedAt time.Time         `json:"createdAt"`
	UpdatedAt time.Time         `json:"updatedAt"`

	AppID       string `json:"appId" doc:"The hidden application through which its messages and attempts are read"`
	Provider    string `json:"provider"`
	SecretCount *int   `json:"secretCount,omitempty" doc:"How many secrets are valid; left out where the configuration file has them"`
	ManagedBy   string `json:"managedBy" enum:"api,file" doc:"What file manages is read-only here"`
	Disabled    bool   `json:"disabled,omitempty" doc:"It left the configuration file and takes nothing"`
	*SourceSettingsOut
}

// SourceSettingsOut are the policies of a source. Those of sources that the
// configuration file manages stand in the file.
type SourceSettingsOut struct {
	OnBadSignature string   `json:"onBadSignature,omitempty" enum:"reject,quarantine"`
	OnDuplicate    string   `json:"onDuplicate,omitempty" enum:"drop,forward"`
	AllowIPs       []string `json:"allowIps,omitempty"`
	ProviderIPs    bool     `json:"providerIps,omitempty"`
	MaxBody        int64    `json:"maxBody,omitempty"`
	FlowID         string   `json:"flowId,omitempty"`
	ForwardHeaders []string `json:"forwardHeaders,omitempty"`
}

// RotateTokenOut is the new URL of a source.
type RotateTokenOut struct {
	IngestURL string `json:"ingestUrl" doc:"The old URL works for 48 hours more"`
}

func (a *API) sourceOut(ctx context.Context, x hook.Source) (IngestSourceOut, error) {
	out := IngestSourceOut{
		ID: a.IDs.Public(hook.KindSource, x.ID), UID: pointer(x.UID), Name: x.Name, Type: sourceType(&x), Metadata: orEmpty(x.Metadata),
		CreatedAt: when(x.CreatedAt), UpdatedAt: when(x.UpdatedAt), AppID: a.IDs.Public(hook.KindApplication, x.App), Provider: x.Provider,
		ManagedBy: "api", Disabled: x.Disabled,
	}
	if out.Type != genericType {
		out.Config = &Empty{}
	}
	if !x.Disabled && caller(ctx).may(accessOrg) { // its token can be all that protects the source
		out.IngestURL = pointer(a.Runtime.SourceURL(x))
	}
	if x.ManagedByFile {
		out.ManagedBy = "file"
		return out, nil
	}
	s := x.Settings
	out.SourceSettingsOut = &SourceSettingsOut{
		OnBadSignature: "reject", OnDuplicate: "drop", AllowIPs: s.AllowIPs, ProviderIPs: s.ProviderIPs, MaxBody: s.MaxBody, FlowID: s.FlowID, ForwardHeaders: s.ForwardHeaders,
	}
	if s.Quarantine {
		out.OnBadSignature = "quarantine"
	}
	if s.Redeliver {
		out.OnDuplicate = "forward"
	}
	live, err := a.Store.Secrets(ctx, x.ID, time.Now())
	n := len(live)
	out.SecretCount = &n
	return out, err
}

// into puts what a caller sent into a source.
func (in *IngestSourceIn) into(x *hook.Source) error {
	const longestUID = 60
	uid := value(in.UID)
	switch {
	case len(uid) > longestUID:
		return invalid("is longer than 60 characters", "body", "uid")
	case strings.Contains(uid, "."): // one from the path, where other uids may have dots
		return invalid("may hold letters, digits, _ and - only", "body", "uid")
	}
	if err := checkUID(uid, hook.KindSource); err != nil {
		return err
	}
	if err := checkText("name", in.Name, 1024); err != nil {
		return err
	}
	if err := checkMetadata(in.Metadata); err != nil {
		return err
	}
	if err := in.sender(x); err != nil {
		return err
	}
	x.Name, x.UID, x.Metadata = in.Name, uid, in.Metadata
	return in.settings(&x.Settings)
}

func registerIngestSources(a *API) {
	const all, one = "/ingest/api/v1/source", "/ingest/api/v1/source/{source_id}"
	register(a, operation{id: "ingest.source.list", method: http.MethodGet, path: all, summary: "List sources", access: accessOrgRead}, a.listSources)
	register(a, operation{id: "ingest.source.create", method: http.MethodPost, path: all, summary: "Create a source", access: accessOrg, status: http.StatusCreated}, a.createSource)
	register(a, operation{id: "ingest.source.get", method: http.MethodGet, path: one, summary: "Read a source", access: accessOrgRead}, a.readSource)
	register(a, operation{id: "ingest.source.upsert", method: http.MethodPut, path: one, summary: "Create or replace a source", access: accessOrg, also: http.StatusCreated}, a.putSource)
	register(a, operation{id: "ingest.source.delete", method: http.MethodDelete, path: one, summary: "Delete a source with its endpoints and messages", access: accessOrg, status: http.StatusNoContent}, a.deleteSource)
	register(a, operation{id: "ingest.source.rotate-token", method: http.MethodPost, path: one + "/token/rotate", summary: "Give a source another URL", access: accessOrg}, a.rotateSourceToken)
}

// source finds a source by its id or uid.
func (a *API) source(ctx context.Context, ref string) (x hook.Source, err error) {
	org := caller(ctx).Org
	if !strings.HasPrefix(ref, string(hook.KindSource)) {
		return a.Store.SourceByUID(ctx, org, ref)
	}
	id, err := a.IDs.Key(hook.KindSource, ref)
	if err != nil {
		return x, err
	}
	return a.Store.Source(ctx, org, id)
}

// ownSource finds a source that may be changed here.
func (a *API) ownSource(ctx context.Context, ref string) (hook.Source, error) {
	x, err := a.source(ctx, ref)
	if err == nil && x.ManagedByFile {
		err = errManaged("source")
	}
	return x, err
}

func (a *API) listSources(ctx context.Context, in *OrderedIn) (*Body[ListOut[IngestSourceOut]], error) {
	p, back, err := a.page(in.ListIn, hook.KindSource, in.Order == "ascending")
	if err != nil {
		return nil, err
	}
	limit := p.Limit
	p.Limit++
	rows, err := a.Store.ListSources(ctx, caller(ctx).Org, p)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, limit, func(x *hook.Source) hook.Key { return x.ID })
	out, keys := make([]IngestSourceOut, len(rows)), make([]hook.Key, len(rows))
	for i, x := range rows {
		keys[i] = x.ID
		if out[i], err = a.sourceOut(ctx, x); err != nil {
			return nil, err
		}
	}
	return listOut(a, hook.KindSource, out, keys, next, in.ListIn, back), nil
}

func (a *API) createSource(ctx context.Context, in *struct{ Body IngestSourceIn }) (*Body[IngestSourceOut], error) {
	return a.makeSource(ctx, &in.Body)
}

func (a *API) makeSource(ctx context.Context, in *IngestSourceIn) (*Body[IngestSourceOut], error) {
	x := hook.Source{Org: caller(ctx).Org}
	if err := in.into(&x); err != nil {
		return nil, err
	}
	if err := a.checkSettings(&x); err != nil {
		return nil, err
	}
	secrets, err := in.given()
	if err != nil {
		return nil, err
	}
	if err := a.checkSource(x.Provider, secrets, in); err != nil {
		return nil, err
	}
	x, err = a.Store.CreateSource(ctx, x, secrets)
	if err != nil {
		return nil, err
	}
	return a.changedSource(ctx, http.StatusCreated, x)
}

// changedSource puts what a source became to work, and shows it.
func (a *API) changedSource(ctx context.Context, status int, x hook.Source) (*Body[IngestSourceOut], error) {
	if err := a.Runtime.SourceChanged(ctx, x.Org, x.ID); err != nil {
		return nil, err
	}
	out, err := a.sourceOut(ctx, x)
	return answerWith(status, out), err
}

func (a *API) readSource(ctx context.Context, in *struct{ SourcePath }) (*Body[IngestSourceOut], error) {
	x, err := a.source(ctx, in.SourceID)
	if err != nil {
		return nil, err
	}
	out, err := a.sourceOut(ctx, x)
	return answerWith(http.StatusOK, out), err
}

func (a *API) putSource(ctx context.Context, in *struct {
	SourcePath
	Body IngestSourceIn
}) (*Body[IngestSourceOut], error) {
	x, err := a.ownSource(ctx, in.SourceID)
	in.Body.UID = keptUID(in.Body.UID, in.SourceID, hook.KindSource)
	if isNotFound(err) && !strings.HasPrefix(in.SourceID, string(hook.KindSource)) {
		return a.makeSource(ctx, &in.Body)
	}
	if err != nil {
		return nil, err
	}
	org, id := x.Org, x.ID
	err = a.edit(ctx, fmt.Sprint("source ", id), func() (err error) {
		if x, err = a.Store.Source(ctx, org, id); err != nil {
			return err
		}
		before := x.Provider
		if err := in.Body.into(&x); err != nil {
			return err
		}
		if err := a.checkSettings(&x); err != nil {
			return err
		}
		secrets, err := a.secretChange(ctx, &in.Body, &x, before)
		if err != nil {
			return err
		}
		x, err = a.Store.UpdateSource(ctx, x, secrets)
		return err
	})
	if err != nil {
		return nil, err
	}
	return a.changedSource(ctx, http.StatusOK, x)
}

func (a *API) deleteSource(ctx context.Context, in *struct{ SourcePath }) (*None, error) {
	x, err := a.ownSource(ctx, in.SourceID)
	if err != nil {
		return nil, err
	}
	if err := a.Store.DeleteSource(ctx, x.Org, x.ID, time.Now()); err != nil {
		return nil, err
	}
	a.tokens.clear() // those of its application are gone
	if err := a.Runtime.SourceChanged(ctx, x.Org, x.ID); err != nil {
		return nil, err
	}
	return nil, a.Runtime.AppChanged(ctx, x.App)
}

func (a *API) rotateSourceToken(ctx context.Context, in *struct{ SourcePath }) (*Body[RotateTokenOut], error) {
	x, err := a.ownSource(ctx, in.SourceID)
	if err != nil {
		return nil, err
	}
	if x, err = a.Store.RotateSourceToken(ctx, x.Org, x.ID, time.Now()); err != nil {
		return nil, err
	}
	if err := a.Runtime.SourceChanged(ctx, x.Org, x.ID); err != nil {
		return nil, err
	}
	return answer(RotateTokenOut{a.Runtime.SourceURL(x)}), nil
}
