package fill

import (
	"encoding/json"
	"log/slog"
	"slices"
	"testing"

	"github.com/sigpost/sigpost/bench/internal/event"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/seal"
	"github.com/sigpost/sigpost/internal/store"
)

// reopen opens the store of a test.
func reopen(t *testing.T, dir string) *store.Store {
	t.Helper()
	ring, err := seal.FromFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), store.Options{Dir: dir, Seal: ring, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// place makes an application with an endpoint, and gives the options to fill it.
func place(t *testing.T, messages int) Options {
	t.Helper()
	opt := Options{Data: t.TempDir(), Org: "org_test", Messages: messages}
	s := reopen(t, opt.Data)
	org, err := s.OrganizationByExternal(t.Context(), opt.Org)
	if err != nil {
		t.Fatal(err)
	}
	app, err := s.CreateApplication(t.Context(), hook.Application{Org: org.ID, Name: "bench"})
	if err != nil {
		t.Fatal(err)
	}
	// No row of it is needed: deliveries name it, and nobody sends here.
	opt.App, opt.Endpoint = s.IDs().Public(hook.KindApplication, app.ID), s.IDs().Public(hook.KindEndpoint, app.ID+1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return opt
}

func TestFilledStoreHasEveryMessageSettledAndIndexed(t *testing.T) {
	t.Parallel()
	const messages = 300
	opt := place(t, messages)
	middle, err := Fill(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	s := reopen(t, opt.Data)
	if done, err := s.Index(t.Context()); done != 0 || err != nil {
		t.Errorf("%d rows were not indexed, %v", done, err)
	}
	app, _ := s.IDs().Key(hook.KindApplication, opt.App)
	endpoint, _ := s.IDs().Key(hook.KindEndpoint, opt.Endpoint)
	page := hook.Page{Limit: 2 * messages}
	all, _, err := s.ListMessagesOf(t.Context(), hook.MessageQuery{App: app, Bodies: true, Page: page})
	if err != nil || len(all) != messages {
		t.Fatalf("%d messages, %v", len(all), err)
	}
	for _, m := range all {
		n, err := event.NewTemplate().Number(m.Body)
		if k := KindOf(int(n)); err != nil || m.Type != k.Type || !slices.Equal(m.Channels, []string{k.Channel}) || !slices.Equal(m.Tags, k.tags()) {
			t.Errorf("message %d, %v: %s %v %v", n, err, m.Type, m.Channels, m.Tags)
		}
	}
	older, _, err := s.ListMessagesOf(t.Context(), hook.MessageQuery{App: app, Range: hook.Range{Until: middle}, Page: page})
	if err != nil || len(older) == 0 || len(older) > messages/2 {
		t.Errorf("%d messages before the middle, %v", len(older), err)
	}
	for state, want := range map[hook.DeliveryState]int{hook.Delivered: 285, hook.Failed: 9, hook.Pending: 3, hook.Canceled: 3} {
		got, _, err := s.ListDeliveries(t.Context(), hook.DeliveryQuery{Endpoint: endpoint, States: []hook.DeliveryState{state}, Page: page})
		if err != nil || len(got) != want {
			t.Errorf("%d deliveries are %s, want %d, %v", len(got), state, want, err)
		}
	}
	attempts, _, err := s.ListAttempts(t.Context(), hook.AttemptQuery{Endpoint: endpoint, Class: 500, Page: page})
	if err != nil || len(attempts) != 9 {
		t.Errorf("%d attempts got 5xx, want 9, %v", len(attempts), err)
	}
}

func TestFillRefusesAnApplicationThatIsNotThere(t *testing.T) {
	t.Parallel()
	opt := place(t, 1)
	opt.Org = "org_other"
	if _, err := Fill(t.Context(), opt); hook.CodeOf(err) != hook.CodeNotFound {
		t.Errorf("error %v", err)
	}
}

func TestTermsMeetAsTheListsExpect(t *testing.T) {
	t.Parallel()
	types, rare := map[string]bool{}, 0
	met := map[string]int{}
	for n := range 2 * RareEvery {
		k := KindOf(n)
		types[k.Type] = true
		if k.Rare {
			rare++
		}
		met[k.Type+" "+k.Channel]++
		met[k.Channel+" "+k.Tag]++
	}
	if len(types) != 20 || rare != 2 {
		t.Errorf("%d types, %d rare messages", len(types), rare)
	}
	for pair, want := range map[string]bool{
		Common + " " + Channel(3): true, Common + " " + Channel(4): false,
		Channel(3) + " " + Tag(3): true, Channel(4) + " " + Tag(3): false,
	} {
		if got := met[pair] > 0; got != want {
			t.Errorf("%s: met %v, want %v", pair, got, want)
		}
	}
}

func TestHeadsMakeOrdinaryMessages(t *testing.T) {
	t.Parallel()
	heads := Heads()
	book := event.NewMessageBook("secret", 2*len(heads), heads...)
	body, sig := make([]byte, book.Longest()), make([]byte, event.SignatureLen)
	for n := range book.Len() {
		var got struct {
			EventType      string
			Channels, Tags []string
			Payload        json.RawMessage
		}
		if err := json.Unmarshal(body[:book.Write(body, sig, uint64(n))], &got); err != nil {
			t.Fatal(err)
		}
		want := Ordinary(n)
		if got.EventType != want.Type || !slices.Equal(got.Channels, []string{want.Channel}) || !slices.Equal(got.Tags, []string{want.Tag}) || len(got.Payload) != event.Size {
			t.Errorf("message %d: %+v, want %+v", n, got, want)
		}
	}
}
