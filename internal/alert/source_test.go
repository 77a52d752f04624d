package alert

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
)

func TestASourceWhoseRequestsDoNotVerifyIsToldOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.alerts(), w.alerts() // two nodes
		r := &hook.Rejected{Org: w.source.Org, Source: w.source.ID, Reason: "mismatch", ReceivedAt: time.Now(), Method: "POST", Body: []byte("x")}
		if err := w.Reject(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		requests := func(bad, good int) {
			for _, node := range []*Alerts{a, b} {
				for range bad {
					node.Count(&w.source, false)
				}
				for range good {
					node.Count(&w.source, true)
				}
			}
		}
		watch := func(what string, want ...string) {
			t.Helper()
			a.WatchRates(t.Context())
			b.WatchRates(t.Context())
			w.expect(what, want...)
		}
		watch("nothing came")
		requests(9, 0)
		watch("nine")
		requests(3, 2)
		a.WatchRates(t.Context())
		b.WatchRates(t.Context())
		want := []webhook{{"ingest.source.failing", map[string]any{
			"sourceId": w.IDs().Public(hook.KindSource, w.source.ID), "sourceUid": "vp", "failures": 12.0, "requests": 14.0, "windowSeconds": 600.0,
			"reason": "mismatch", "rejectedId": w.IDs().Public(hook.KindRejected, r.ID),
		}}}
		if d := cmp.Diff(want, w.hooks.take()); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if mails := w.mails.take(); len(mails) != 1 || mails[0].Title != "Requests to source veriff-prod do not verify: 12 of 14 within 10 minutes" || mails[0].Why != "The newest one that was kept: mismatch." {
			t.Errorf("mails %+v", mails)
		}
		for range 59 {
			time.Sleep(time.Minute)
			requests(3, 0)
			watch("within the hour")
		}
		time.Sleep(time.Minute)
		watch("an hour on", "ingest.source.failing")
		w.log.take("")
		time.Sleep(time.Minute)
		requests(0, 1000)
		watch("mended")
		if found := w.log.take("ingest source verifies again"); len(found) != 2 || !strings.Contains(found[0], "source=veriff-prod") {
			t.Errorf("logged %q", found)
		}
		time.Sleep(2 * time.Hour)
		watch("quiet")
		a.tallies.Range(func(any, any) bool { t.Error("a source of which nothing comes is still counted"); return false })
		requests(20, 0)
		watch("failing again", "ingest.source.failing")
	})
}

func TestRunTellsWhatIsQueuedAndWatchesTheRates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.alerts()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		a.TaskEnded(hook.Task{ID: 9, Org: w.app.Org, Kind: hook.TaskRecover, Status: hook.TaskFinished})
		synctest.Wait()
		w.expect("at once", "background_task.finished")
		for range 10 {
			a.Count(&w.source, false)
		}
		time.Sleep(rateEvery)
		synctest.Wait()
		w.expect("at the next look", "ingest.source.failing")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// The whole way by the clock: a source teaches for two weeks, stops, is told of
// once, also over a restart, and is heard again.
func TestASourceThatFallsSilentIsToldOfOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.alerts()
		listen := func(what string, want ...string) {
			t.Helper()
			for n := 1; n > 0; {
				var err error
				if n, err = w.Index(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := a.Listen(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.expect(what, want...)
		}
		listen("before the first event")
		var last hook.Message
		for range 15 * 24 * 2 {
			last = w.message()
			time.Sleep(30 * time.Minute)
			listen("while it sends")
		}
		for time.Since(last.ReceivedAt) < 90*time.Minute {
			time.Sleep(5 * time.Minute)
			listen("not for much longer than usual")
		}
		time.Sleep(5 * time.Minute)
		listen("longer than usual", "ingest.source.silent")
		if mails := w.mails.take(); len(mails) != 1 || mails[0].Title != "Nothing has come to source veriff-prod for 1 hour 35 minutes" || mails[0].Why != "At this time of the week up to 1 hour 30 minutes without an event is usual." {
			t.Errorf("mails %+v", mails)
		}
		for range 12 {
			time.Sleep(time.Hour)
			listen("still silent")
		}
		a = w.alerts() // a restart
		for range 20 {
			time.Sleep(5 * time.Minute)
			listen("still silent after a restart")
		}
		w.message()
		w.log.take("")
		listen("it sends again")
		if found := w.log.take("ingest source is heard again"); len(found) != 1 {
			t.Errorf("logged %q", found)
		}
		time.Sleep(10 * time.Hour) // the server is down
		a = w.alerts()
		for time.Since(a.began) < grace {
			listen("just after the start")
			time.Sleep(5 * time.Minute)
		}
		listen("a while after the start", "ingest.source.silent")
	})
}

func TestSourcesThatAreGoneAreForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.alerts()
	if err := a.Listen(t.Context()); err != nil || len(a.ears) != 1 {
		t.Errorf("%d sources, %v", len(a.ears), err)
	}
	if err := w.DeleteSource(t.Context(), w.source.Org, w.source.ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := a.Listen(t.Context()); err != nil || len(a.ears) != 0 {
		t.Errorf("%d sources, %v", len(a.ears), err)
	}
	a.Silence = 0
	a.Store = nil // is not asked
	if err := a.Listen(t.Context()); err != nil {
		t.Error(err)
	}
}
