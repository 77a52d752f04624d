package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

// A change of a row that is not as it was read is refused, whatever the row is of.
func staleChanges(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a := makeApp(t, s, "a")
	e := makeEndpoint(t, s, a, "e")
	x, err := s.CreateSource(ctx, hook.Source{Org: a.Org, Name: "s", Provider: "p"}, nil)
	must(t, err)
	y, err := s.CreateEventType(ctx, hook.EventType{Org: a.Org, Name: "t"})
	must(t, err)
	o, err := s.Organization(ctx, a.Org)
	must(t, err)
	changes := map[string]func() error{
		"application": func() error { _, err := s.UpdateApplication(ctx, a); return err },
		"endpoint":    func() error { _, err := s.UpdateEndpoint(ctx, e, hook.SecretChange{}); return err },
		"secrets": func() error {
			_, err := s.UpdateEndpoint(ctx, e, hook.SecretChange{Fresh: "x", At: time.Now()})
			return err
		},
		"source":     func() error { _, err := s.UpdateSource(ctx, x, hook.SecretChange{Replace: true}); return err },
		"event type": func() error { _, err := s.UpdateEventType(ctx, y); return err },
		"put":        func() error { _, err := s.PutEventType(ctx, y); return err },
		"settings": func() error {
			return s.SetOrgSettings(ctx, o.ID, o.Settings, hook.OrgSettings{SignatureHeaders: hook.HeadersSvix})
		},
	}
	for _, what := range []string{"application", "endpoint", "source", "event type", "settings"} {
		must(t, changes[what]())
	}
	for what, change := range changes {
		code(t, what+" that was changed since it was read", change(), hook.CodeStale)
	}
	same(t, "secrets after a change that was refused", []string{"whsec_first"}, live(t, s, e.ID, time.Now()))
	e, err = s.Endpoint(ctx, a.ID, e.ID)
	must(t, err)
	must(t, s.DisableEndpoint(ctx, e.ID, "gone"))
	code(t, "endpoint that was disabled since it was read", changes["endpoint"](), hook.CodeStale)
	x, err = s.Source(ctx, x.Org, x.ID)
	must(t, err)
	_, err = s.RotateSourceToken(ctx, x.Org, x.ID, time.Now())
	must(t, err)
	code(t, "source whose token was rotated since it was read", changes["source"](), hook.CodeStale)
	y, err = s.EventType(ctx, y.Org, y.Name)
	must(t, err)
	must(t, s.DeleteEventType(ctx, y.Org, y.Name, false))
	code(t, "event type that was archived since it was read", changes["event type"](), hook.CodeStale)
	must(t, s.DeleteEventType(ctx, y.Org, y.Name, true))
	code(t, "event type that was deleted since it was read", changes["put"](), hook.CodeStale)
}

// Of changes of one row at once each is made of what the one before it left,
// also within one millisecond.
func changesAtOnce(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a := makeApp(t, s, "a")
	const n = 40
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			for stale := true; stale; {
				x, err := s.Application(ctx, store.DefaultOrg, a.ID)
				if err == nil {
					x.Metadata[fmt.Sprint("at once ", i)] = "kept"
					_, err = s.UpdateApplication(ctx, x)
				}
				if stale = err != nil && hook.CodeOf(err) == hook.CodeStale; err != nil && !stale {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	x, err := s.Application(ctx, store.DefaultOrg, a.ID)
	must(t, err)
	if len(x.Metadata) != n+len(a.Metadata) {
		t.Errorf("%d of %d changes were kept", len(x.Metadata)-len(a.Metadata), n)
	}
}
