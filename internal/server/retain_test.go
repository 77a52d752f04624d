package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sigpost/sigpost/internal/config"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/provider"
	"github.com/sigpost/sigpost/internal/store"
)

// What applications were sent and what sources received go at their own ages: the
// organization's first, then the configuration's, then the default.
func TestAgesAreTheOrganizationsThenTheFilesThenTheDefault(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		cfg := config.Default()
		cfg.Data, cfg.AllowNets = dir, nil
		cfg.Retention.Sources.Payloads = 3
		providers, err := provider.Builtin()
		if err != nil {
			t.Fatal(err)
		}
		s, err := Open(ctx, Options{Config: cfg, Providers: providers, Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		other, err := s.store.CreateOrganization(ctx, "brief")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.store.SetOrgSettings(ctx, other.ID, hook.OrgSettings{}, hook.OrgSettings{Retention: hook.Retention{Messages: 2}}); err != nil {
			t.Fatal(err)
		}
		makeApp := func(org hook.Key) hook.Application {
			a, err := s.store.CreateApplication(ctx, hook.Application{Org: org, Name: "a"})
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		a, brief := makeApp(store.DefaultOrg), makeApp(other.ID)
		x, err := s.store.CreateSource(ctx, hook.Source{Org: store.DefaultOrg, Name: "in", Provider: "generic"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		kept := map[string]*hook.Append{}
		for name, app := range map[string]hook.Application{"an application's": a, "a source's": {Org: x.Org, ID: x.App}, "of the brief": brief} {
			m := &hook.Append{Message: hook.Message{Org: app.Org, App: app.ID, Event: hook.Event{Type: "t"}, ReceivedAt: time.Now(), Body: []byte("{}")}}
			if err := s.store.Append(ctx, m); err != nil {
				t.Fatal(err)
			}
			kept[name] = m
		}
		if _, err := s.store.Index(ctx); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		for _, c := range []struct {
			days int
			want map[string]string
		}{
			{1, map[string]string{"an application's": "whole", "a source's": "whole", "of the brief": "whole"}},
			{2, map[string]string{"an application's": "whole", "a source's": "whole", "of the brief": "gone"}},
			{3, map[string]string{"an application's": "whole", "a source's": "bare", "of the brief": "gone"}},
			{29, map[string]string{"an application's": "whole", "a source's": "bare", "of the brief": "gone"}},
			{30, map[string]string{"an application's": "whole", "a source's": "gone", "of the brief": "gone"}},
			{89, map[string]string{"an application's": "whole", "a source's": "gone", "of the brief": "gone"}},
			{90, map[string]string{"an application's": "gone", "a source's": "gone", "of the brief": "gone"}},
		} {
			time.Sleep(time.Until(begun.AddDate(0, 0, c.days).Add(time.Second)))
			if err := s.retain(ctx); err != nil {
				t.Fatal(err)
			}
			for name, m := range kept {
				got := "whole"
				_, has, err := s.store.MessageInfo(ctx, m.Message.App, m.Message.ID)
				switch {
				case err != nil && hook.CodeOf(err) == hook.CodeNotFound:
					got = "gone"
				case err != nil:
					t.Fatal(err)
				case !has:
					got = "bare"
				}
				if got != c.want[name] {
					t.Errorf("after %d days %s is %s, %s is right", c.days, name, got, c.want[name])
				}
			}
		}
	})
}
