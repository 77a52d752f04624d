package api

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
)

// toldStore has one customer's application, 7, and perhaps an operational one, 9.
type toldStore struct {
	Store
	operational bool
}

func (s toldStore) Application(_ context.Context, org, id hook.Key) (hook.Application, error) {
	a := hook.Application{ID: id, Org: org, UID: "customer"}
	if id == 9 {
		a.Kind = hook.AppOperational
	}
	return a, nil
}

func (s toldStore) Applications(_ context.Context, org hook.Key, _ hook.Page, f hook.AppFilter) ([]hook.Application, error) {
	if !s.operational || f.Kind != hook.AppOperational {
		return nil, nil
	}
	return []hook.Application{{ID: 9, Org: org, Kind: hook.AppOperational}}, nil
}

// toldPipeline notes the types of what is sent into the operational application.
type toldPipeline struct {
	wants string // a pattern
	err   error
	sent  []string
}

func (p *toldPipeline) Active(_ hook.Key, eventType string, _ []string) bool {
	return hook.MatchEventType(p.wants, eventType)
}

func (p *toldPipeline) Accept(_ context.Context, in hook.Incoming) (hook.Receipt, error) {
	if in.App == 9 && in.Org == 1 && strings.Contains(string(in.Body), `"appUid":"customer"`) && strings.Contains(string(in.Body), `"type":"`+in.Event.Type+`"`) {
		p.sent = append(p.sent, in.Event.Type)
	}
	return hook.Receipt{}, p.err
}

func TestChangesOfEndpointsAreTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		operational   bool
		wants         string
		app           hook.Key
		before, after hook.EndpointState
		want          []string
	}{
		"a change":                    {true, "*", 7, hook.Enabled, hook.Enabled, []string{"endpoint.updated"}},
		"disabled":                    {true, "*", 7, hook.Enabled, hook.Disabled, []string{"endpoint.updated", "endpoint.disabled"}},
		"enabled again":               {true, "*", 7, hook.Disabled, hook.Enabled, []string{"endpoint.updated", "endpoint.enabled"}},
		"paused is neither":           {true, "*", 7, hook.Enabled, hook.Paused, []string{"endpoint.updated"}},
		"still disabled":              {true, "*", 7, hook.Disabled, hook.Disabled, []string{"endpoint.updated"}},
		"somebody listens to one":     {true, "endpoint.disabled", 7, hook.Enabled, hook.Disabled, []string{"endpoint.disabled"}},
		"nobody listens":              {true, "message.*", 7, hook.Enabled, hook.Disabled, nil},
		"no operational application":  {false, "*", 7, hook.Enabled, hook.Disabled, nil},
		"of operational webhooks too": {true, "*", 9, hook.Enabled, hook.Disabled, nil},
	} {
		p := &toldPipeline{wants: c.wants}
		a := &API{Options: Options{Store: toldStore{operational: c.operational}, Pipeline: p, IDs: hook.NewIDs([hook.IDSecretSize]byte{}), Log: slog.New(slog.DiscardHandler)}}
		a.tellChange(t.Context(), hook.Endpoint{State: c.before}, hook.Endpoint{ID: 3, Org: 1, App: c.app, State: c.after})
		if diff := cmp.Diff(c.want, p.sent); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestWhatCannotBeToldIsLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	p := &toldPipeline{wants: "*", err: errors.New("the disk is full")}
	a := &API{Options: Options{Store: toldStore{operational: true}, Pipeline: p, IDs: hook.NewIDs([hook.IDSecretSize]byte{}), Log: slog.New(slog.NewTextHandler(&log, nil))}}
	a.tellEndpoint(t.Context(), endpointCreated, hook.Endpoint{ID: 3, Org: 1, App: 7})
	if !strings.Contains(log.String(), "the disk is full") || !strings.Contains(log.String(), "endpoint.created") {
		t.Errorf("logged: %s", log.String())
	}
}
