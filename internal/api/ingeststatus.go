package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// SourceStatusOut is how a source is doing.
type SourceStatusOut struct {
	LastRequestAt *time.Time        `json:"lastRequestAt" nullable:"true" doc:"When the last request came that is kept: a message, or one that was rejected"`
	LastMessage   *LastMessageOut   `json:"lastMessage,omitempty"`
	LastRejected  *LastRejectedOut  `json:"lastRejected,omitempty"`
	AllowIPs      []string          `json:"allowIps" doc:"The networks that may send, the provider's included; all when empty. Of sources that the configuration file manages they stand there"`
	Secrets       []SourceSecretOut `json:"secrets" doc:"Those that are valid, the newest first. Of sources that the configuration file manages they stand there"`
}

// LastMessageOut is the newest message of a source.
type LastMessageOut struct {
	ID        string    `json:"id"`
	At        time.Time `json:"at"`
	EventType string    `json:"eventType"`
}

// LastRejectedOut is the newest request that was rejected.
type LastRejectedOut struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// SourceSecretOut is a secret as it may be shown.
type SourceSecretOut struct {
	ID        string     `json:"id"`
	Masked    *string    `json:"masked,omitempty" doc:"Its last four characters; not for viewers"`
	CreatedAt time.Time  `json:"createdAt"`
	ExpiresAt *time.Time `json:"expiresAt" nullable:"true" doc:"When it ends; null for never"`
}

// SourceSecretIn adds a secret to a source.
type SourceSecretIn struct {
	Secret             *string `json:"secret,omitempty" minLength:"1" maxLength:"1024" doc:"As the provider issued it; left out, one is made, where the provider lets one be chosen"`
	GracePeriodSeconds *int    `json:"gracePeriodSeconds,omitempty" minimum:"0" maximum:"604800" doc:"How long the others stay valid; as long as they are when left out"`
}

// SourceSecretAddedOut is a secret that was added.
type SourceSecretAddedOut struct {
	ID     string  `json:"id"`
	Secret *string `json:"secret,omitempty" doc:"The one that was made; it is shown this once"`
}

// SourceSecretExpireIn says when a secret ends.
type SourceSecretExpireIn struct {
	At *time.Time `json:"at,omitempty" doc:"At once when left out"`
}

// SourceSecretPath names a secret of a source in a path.
type SourceSecretPath struct {
	SourcePath
	SecretID string `path:"secret_id" minLength:"1" maxLength:"64" pattern:"^[a-zA-Z0-9_]+$"`
}

func registerSourceStatus(a *API) {
	const one = "/ingest/api/v1/source/{source_id}"
	register(a, operation{id: "ingest.source.status", method: http.MethodGet, path: one + "/status", summary: "Say how a source is doing", access: accessOrgRead}, a.sourceStatus)
	register(a, operation{id: "ingest.source.secret.create", method: http.MethodPost, path: one + "/secret", summary: "Add a secret to a source", access: accessOrg, status: http.StatusCreated}, a.addSourceSecret)
	register(a, operation{id: "ingest.source.secret.expire", method: http.MethodPost, path: one + "/secret/{secret_id}/expire", summary: "Let a secret of a source end", access: accessOrg, status: http.StatusNoContent}, a.expireSourceSecret)
}

func (a *API) sourceStatus(ctx context.Context, in *struct{ SourcePath }) (*Body[SourceStatusOut], error) {
	x, err := a.source(ctx, in.SourceID)
	if err != nil {
		return nil, err
	}
	out := SourceStatusOut{AllowIPs: []string{}, Secrets: []SourceSecretOut{}}
	messages, _, err := a.Store.ListMessagesOf(ctx, hook.MessageQuery{App: x.App, Page: hook.Page{Limit: 1}})
	if err != nil {
		return nil, err
	}
	var last time.Time
	if len(messages) > 0 {
		m := &messages[0]
		last = m.ReceivedAt
		if m.LastDuplicateAt.After(last) {
			last = m.LastDuplicateAt
		}
		out.LastMessage = &LastMessageOut{a.IDs.Public(hook.KindMessage, m.ID), when(m.ReceivedAt), m.Type}
	}
	rejected, err := a.Store.ListRejected(ctx, x.ID, 0, 1)
	if err != nil {
		return nil, err
	}
	if len(rejected) > 0 {
		r := &rejected[0]
		if r.ReceivedAt.After(last) {
			last = r.ReceivedAt
		}
		out.LastRejected = &LastRejectedOut{a.IDs.Public(hook.KindRejected, r.ID), when(r.ReceivedAt), r.Reason}
	}
	out.LastRequestAt = moment(last)
	if x.ManagedByFile {
		return answer(out), nil
	}
	out.AllowIPs = append(out.AllowIPs, x.Settings.AllowIPs...)
	if x.Settings.ProviderIPs {
		for _, p := range a.Runtime.Providers() {
			if p.Name == x.Provider {
				out.AllowIPs = append(out.AllowIPs, p.Addresses...)
			}
		}
	}
	live, err := a.Store.Secrets(ctx, x.ID, time.Now())
	for i := range live {
		s := SourceSecretOut{ID: a.IDs.Public(hook.KindSecret, live[i].ID), CreatedAt: when(live[i].ID.Time()), ExpiresAt: moment(live[i].ExpiresAt)}
		if caller(ctx).may(accessOrg) {
			s.Masked = pointer(masked(live[i].Value))
		}
		out.Secrets = append(out.Secrets, s)
	}
	return answer(out), err
}

// masked is what of a secret tells it from others: its last four characters, if that
// leaves enough of it hidden.
func masked(s hook.Secret) string {
	const shown, least = 4, 16
	text := s.Reveal()
	if len(text) < least {
		return "…"
	}
	return "…" + text[len(text)-shown:]
}

func (a *API) addSourceSecret(ctx context.Context, in *struct {
	SourcePath
	Body SourceSecretIn
}) (*Body[SourceSecretAddedOut], error) {
	x, err := a.ownSource(ctx, in.SourceID)
	if err != nil {
		return nil, err
	}
	var out SourceSecretAddedOut
	secret := hook.Secret(value(in.Body.Secret))
	if in.Body.Secret == nil {
		if secret, err = a.Runtime.NewSourceSecret(x.Provider); err != nil {
			return nil, invalid(err.Error(), "body", "secret")
		}
		out.Secret = pointer(secret.Reveal())
	}
	if err := a.Runtime.CheckSource(x.Provider, []hook.Secret{secret}); err != nil {
		return nil, invalid(err.Error(), "body", "secret")
	}
	if a.Runtime.CheckSource(x.Provider, nil) == nil {
		return nil, invalid(x.Provider+" does not sign, so there is no secret to verify with", "body", "secret")
	}
	now := time.Now()
	change := hook.SecretChange{Fresh: secret, Keep: in.Body.GracePeriodSeconds == nil, Grace: time.Duration(value(in.Body.GracePeriodSeconds)) * time.Second, At: now}
	org, id := x.Org, x.ID
	err = a.edit(ctx, fmt.Sprint("source ", id), func() error {
		if x, err = a.Store.Source(ctx, org, id); err != nil {
			return err
		}
		x, err = a.Store.UpdateSource(ctx, x, change)
		return err
	})
	if err != nil {
		return nil, err
	}
	live, err := a.Store.Secrets(ctx, id, now)
	if err != nil {
		return nil, err
	}
	for i := range live {
		if live[i].Value == secret {
			out.ID = a.IDs.Public(hook.KindSecret, live[i].ID)
			break
		}
	}
	return answerWith(http.StatusCreated, out), a.Runtime.SourceChanged(ctx, org, id)
}

func (a *API) expireSourceSecret(ctx context.Context, in *struct {
	SourceSecretPath
	Body SourceSecretExpireIn
}) (*None, error) {
	x, err := a.ownSource(ctx, in.SourceID)
	if err != nil {
		return nil, err
	}
	id, err := a.IDs.Key(hook.KindSecret, in.SecretID)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	at := now
	if in.Body.At != nil && in.Body.At.After(now) {
		at = *in.Body.At
	}
	if err := a.Store.ExpireSecret(ctx, x.Org, x.ID, id, now, at); err != nil {
		return nil, err
	}
	return nil, a.Runtime.SourceChanged(ctx, x.Org, x.ID)
}
