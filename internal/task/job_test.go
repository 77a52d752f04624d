package task

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
)

func TestRecoverSendsFailedMessagesOfItsRangeOnly(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		e, other := w.endpoint(w.app), w.endpoint(w.app)
		failed := w.message(w.app, hook.Message{}, hook.Failed, e, other)
		delivered := w.message(w.app, hook.Message{}, hook.Delivered, e)
		canceled := w.message(w.app, hook.Message{}, hook.Canceled, e)
		expunged := w.message(w.app, hook.Message{}, hook.Failed, e)
		if err := w.ExpungeBody(t.Context(), w.app.ID, expunged.ID); err != nil {
			t.Fatal(err)
		}
		in := lately(e)
		in.States = []hook.DeliveryState{hook.Failed}
		early := in
		early.Until = failed.ID.Time().Add(-time.Minute)
		if got := w.job(hook.TaskRecover, early); got.MessagesSent != 0 {
			t.Errorf("a range without messages gives %+v", got)
		}
		total := int64(2)
		want := hook.JobData{MessagesSent: 1, Progress: hook.Progress{Looked: 2, Sent: 1, Total: &total}}
		if diff := cmp.Diff(want, w.job(hook.TaskRecover, in)); diff != "" {
			t.Error(diff)
		}
		for name, c := range map[string]struct {
			m    hook.Message
			e    hook.Endpoint
			want hook.DeliveryState
		}{
			"failed":                     {failed, e, hook.Pending},
			"failed at another endpoint": {failed, other, hook.Failed},
			"delivered":                  {delivered, e, hook.Delivered},
			"canceled":                   {canceled, e, hook.Canceled},
			"without a payload":          {expunged, e, hook.Failed},
		} {
			if got := w.states(c.m, c.e); !slices.Equal(got, []hook.DeliveryState{c.want}) {
				t.Errorf("%s is %v, %v is right", name, got, c.want)
			}
		}
		if w.due[e.ID] != 1 || w.due[other.ID] != 0 {
			t.Errorf("due: %v", w.due)
		}
	})
}

func TestReplayMissingDeliversWhatTheEndpointWantsAndNeverHad(t *testing.T) {
	for state, want := range map[hook.EndpointState]struct {
		missed, held hook.DeliveryState
		sent         int64
	}{
		hook.Enabled:  {hook.Pending, hook.Pending, 2},
		hook.Paused:   {hook.Held, hook.Held, 1},
		hook.Disabled: {hook.Held, hook.Held, 1},
	} {
		t.Run(state.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				had := w.endpoint(w.app)
				missed := w.message(w.app, hook.Message{Event: hook.Event{Type: "invoice.paid"}}, hook.Delivered, had)
				unwanted := w.message(w.app, hook.Message{Event: hook.Event{Type: "user.signup"}}, hook.Delivered, had)
				e := w.set(w.endpoint(w.app, "invoice.*"), state)
				failed := w.message(w.app, hook.Message{Event: hook.Event{Type: "invoice.due"}}, hook.Failed, e)
				held := w.message(w.app, hook.Message{Event: hook.Event{Type: "invoice.due"}}, hook.Held, e)
				waiting := w.message(w.app, hook.Message{Event: hook.Event{Type: "invoice.due"}}, hook.Canceled, e)
				count := lately(e)
				count.DryRun = true
				if got := w.job(hook.TaskReplayMissing, count); got.WouldSend == nil || *got.WouldSend != want.sent {
					t.Errorf("a dry run gives %+v", got)
				}
				for round, sent := range []int64{want.sent, 0} {
					if got := w.job(hook.TaskReplayMissing, lately(e)); got.MessagesSent != sent {
						t.Errorf("round %d gives %+v, %d is right", round, got, sent)
					}
				}
				for name, c := range map[string]struct {
					m    hook.Message
					want []hook.DeliveryState
				}{
					"missed":   {missed, []hook.DeliveryState{want.missed}},
					"unwanted": {unwanted, nil},
					"failed":   {failed, []hook.DeliveryState{hook.Failed}},
					"canceled": {waiting, []hook.DeliveryState{hook.Canceled}},
					"held":     {held, []hook.DeliveryState{want.held}},
				} {
					if got := w.states(c.m, e); !slices.Equal(got, c.want) {
						t.Errorf("the %s message is %v, %v is right", name, got, c.want)
					}
				}
			})
		})
	}
}

// A held delivery that was attempted before was not missed.
func TestReplayMissingLeavesWhatWasAttempted(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		e := w.endpoint(w.app)
		m := w.message(w.app, hook.Message{}, hook.Pending, e)
		w.attemptTo(m, e, 500, hook.Held)
		if got := w.job(hook.TaskReplayMissing, lately(e)); got.MessagesSent != 0 || !slices.Equal(w.states(m, e), []hook.DeliveryState{hook.Held}) {
			t.Errorf("%+v, and it is %v", got, w.states(m, e))
		}
	})
}

// choices are filters, and which of the messages of choiceWorld they choose.
func choices(class *int, all []hook.Message) map[string]struct {
	change func(*hook.EndpointTask)
	want   string
} {
	return map[string]struct {
		change func(*hook.EndpointTask)
		want   string
	}{
		"none":             {func(*hook.EndpointTask) {}, "abcdef"},
		"types":            {func(i *hook.EndpointTask) { i.Types = []string{"a"} }, "a"},
		"several types":    {func(i *hook.EndpointTask) { i.Types = []string{"a", "b"} }, "abc"},
		"channel":          {func(i *hook.EndpointTask) { i.Channel = "c" }, "a"},
		"tag":              {func(i *hook.EndpointTask) { i.Tag = "t" }, "ac"},
		"status":           {func(i *hook.EndpointTask) { i.States = []hook.DeliveryState{hook.Delivered} }, "a"},
		"statuses":         {func(i *hook.EndpointTask) { i.States = []hook.DeliveryState{hook.Pending, hook.Held} }, "ef"},
		"class":            {func(i *hook.EndpointTask) { i.Class = class }, "d"},
		"class of none":    {func(i *hook.EndpointTask) { i.Class = new(int) }, ""},
		"until long ago":   {func(i *hook.EndpointTask) { i.Until = time.Now().Add(-time.Minute) }, ""},
		"subject":          {func(i *hook.EndpointTask) { i.Subject = &hook.Subject{Kind: "user", ID: "1"} }, "bf"},
		"subject and type": {func(i *hook.EndpointTask) { i.Subject = &hook.Subject{Kind: "user", ID: "1"}; i.Types = []string{"b"} }, "b"},
		"another subject":  {func(i *hook.EndpointTask) { i.Subject = &hook.Subject{Kind: "user", ID: "2"} }, ""},
		"subject, until long ago": {func(i *hook.EndpointTask) {
			i.Subject, i.Until = &hook.Subject{Kind: "user", ID: "1"}, time.Now().Add(-time.Minute)
		}, ""},
		"messages":           {func(i *hook.EndpointTask) { i.Messages = []hook.Key{all[0].ID, all[3].ID, all[3].ID + 1} }, "ad"},
		"messages of a type": {func(i *hook.EndpointTask) { i.Messages, i.Types = []hook.Key{all[0].ID, all[1].ID}, []string{"b"} }, "b"},
	}
}

// choiceWorld has messages a to f, each with something that others do not have.
func choiceWorld(w *world) (e hook.Endpoint, all []hook.Message) {
	e = w.endpoint(w.app)
	other, elsewhere := w.endpoint(w.app), w.addApp("elsewhere")
	user := []hook.Subject{{Kind: "session", ID: "1"}, {Kind: "user", ID: "1"}}
	for i, m := range []hook.Message{
		{Event: hook.Event{Type: "a"}, Channels: []string{"c"}, Tags: []string{"t"}},
		{Event: hook.Event{Type: "b", Subjects: user}},
		{Event: hook.Event{Type: "b"}, Tags: []string{"t"}},
		{Event: hook.Event{Type: "d"}},
		{Event: hook.Event{Type: "e"}},
		{Event: hook.Event{Type: "f", Subjects: user}},
	} {
		state := []hook.DeliveryState{hook.Delivered, hook.Failed, hook.Canceled, hook.Pending, hook.Pending, hook.Held}[i]
		all = append(all, w.message(w.app, m, state, e, other))
		if i == 3 {
			w.attempt(all[3], e, 503)
		}
	}
	w.message(elsewhere, hook.Message{Event: hook.Event{Subjects: user}}, hook.Failed, w.endpoint(elsewhere))
	return e, all
}

// changed are the letters of the messages whose delivery is another than it was.
func (w *world) changed(e hook.Endpoint, all []hook.Message, was map[hook.Key]hook.Delivery) (letters string) {
	for i := range all {
		list, err := w.Deliveries(w.t.Context(), &all[i])
		if err != nil {
			w.t.Fatal(err)
		}
		for _, d := range list {
			if d != was[d.ID] && d.Endpoint != e.ID {
				w.t.Errorf("the delivery of %s to another endpoint is another than it was", all[i].Type)
			}
			if d != was[d.ID] && d.Endpoint == e.ID {
				letters += string(rune('a' + i))
			}
		}
	}
	return letters
}

func (w *world) are(all []hook.Message) map[hook.Key]hook.Delivery {
	are := map[hook.Key]hook.Delivery{}
	for i := range all {
		list, err := w.Deliveries(w.t.Context(), &all[i])
		if err != nil {
			w.t.Fatal(err)
		}
		for _, d := range list {
			are[d.ID] = d
		}
	}
	return are
}

func TestBulkReplayFiltersAndDryRunCountsTheSame(t *testing.T) {
	class := 500
	names := choices(&class, make([]hook.Message, 9))
	for name := range names {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				e, all := choiceWorld(w)
				c := choices(&class, all)[name]
				in := lately(e)
				c.change(&in)
				was := w.are(all)
				count := in
				count.DryRun = true
				got := w.job(hook.TaskBulkReplay, count)
				if got.WouldSend == nil || *got.WouldSend != int64(len(c.want)) || got.MessagesSent != 0 || !got.DryRun {
					t.Errorf("a dry run gives %+v", got)
				}
				if len(got.Examples) != min(len(c.want), examples) {
					t.Errorf("%d examples", len(got.Examples))
				}
				for i, id := range got.Examples {
					if want := w.IDs().Public(hook.KindMessage, all[c.want[i]-'a'].ID); id != want {
						t.Errorf("example %d is %s, %s is right", i, id, want)
					}
				}
				if after := w.changed(e, all, was); after != "" {
					t.Errorf("a dry run changed %q", after)
				}
				if got := w.job(hook.TaskBulkReplay, in); got.MessagesSent != int64(len(c.want)) || got.Progress.Sent != got.MessagesSent {
					t.Errorf("the result is %+v", got)
				}
				if after := w.changed(e, all, was); after != c.want {
					t.Errorf("%q were sent, %q is right", after, c.want)
				}
				for _, x := range c.want {
					if got := w.states(all[x-'a'], e); !slices.Equal(got, []hook.DeliveryState{hook.Pending}) {
						t.Errorf("%c is %v", x, got)
					}
				}
			})
		})
	}
}

// What a process has in memory, and what waits for its turn, goes out without a task.
func TestDryRunLeavesOutWhatGoesOutAnyway(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		e := w.endpoint(w.app)
		w.message(w.app, hook.Message{}, hook.Pending, e)
		if claimed, _, err := w.Claim(t.Context(), e.ID, time.Now(), 10); err != nil || len(claimed) != 1 {
			t.Fatal(claimed, err)
		}
		w.message(w.app, hook.Message{}, hook.Pending, e)
		w.message(w.app, hook.Message{}, hook.Delivered, e)
		in := hook.Append{Message: hook.Message{Org: w.app.Org, App: w.app.ID, ReceivedAt: time.Now(), Body: []byte("{}"), Event: hook.Event{Type: "a"}}}
		for range 2 { // of one lane
			a := in
			a.Deliveries = []hook.Delivery{{Org: w.app.Org, Endpoint: e.ID, State: hook.Waiting, NextAt: time.Now(), Since: time.Now(), Lane: 7}}
			if err := w.Append(t.Context(), &a); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		count := lately(e)
		count.DryRun = true
		if got := w.job(hook.TaskBulkReplay, count); got.WouldSend == nil || *got.WouldSend != 3 {
			t.Errorf("a dry run gives %+v", got)
		}
		if got := w.job(hook.TaskBulkReplay, lately(e)); got.MessagesSent != 3 {
			t.Errorf("the task sent %d, 3 were counted", got.MessagesSent)
		}
	})
}

func TestCancelPendingCancelsPendingAndHeldByTheSameFilters(t *testing.T) {
	class := 500
	for name, want := range map[string]string{
		"none": "ef", "types": "", "subject": "f", "messages": "", "class": "", "until long ago": "",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				e, all := choiceWorld(w)
				in := lately(e)
				in.States = []hook.DeliveryState{hook.Pending, hook.Held}
				states := in.States
				choices(&class, all)[name].change(&in)
				in.States = states
				was := w.are(all)
				count := in
				count.DryRun = true
				if got := w.job(hook.TaskCancelPending, count); got.WouldCancel == nil || *got.WouldCancel != int64(len(want)) || got.WouldSend != nil {
					t.Errorf("a dry run gives %+v", got)
				}
				if after := w.changed(e, all, was); after != "" {
					t.Errorf("a dry run changed %q", after)
				}
				if got := w.job(hook.TaskCancelPending, in); got.MessagesCanceled != int64(len(want)) || got.MessagesSent != 0 || got.UnderWay != 0 {
					t.Errorf("the result is %+v", got)
				}
				if after := w.changed(e, all, was); after != want {
					t.Errorf("%q were canceled, %q is right", after, want)
				}
				for _, x := range want {
					if got := w.states(all[x-'a'], e); !slices.Equal(got, []hook.DeliveryState{hook.Canceled}) {
						t.Errorf("%c is %v", x, got)
					}
				}
				if len(w.due) != 0 {
					t.Errorf("due: %v", w.due)
				}
			})
		})
	}
}

// What a process has in memory is attempted once more; when that fails it is canceled.
func TestCancelPendingComesBackForWhatIsInMemory(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		e := w.endpoint(w.app)
		one, two := w.message(w.app, hook.Message{}, hook.Pending, e), w.message(w.app, hook.Message{}, hook.Pending, e)
		claimed, _, err := w.Claim(t.Context(), e.ID, time.Now(), 10)
		if err != nil || len(claimed) != 2 {
			t.Fatal(claimed, err)
		}
		free := w.message(w.app, hook.Message{}, hook.Pending, e)
		in := lately(e)
		in.States = []hook.DeliveryState{hook.Pending, hook.Held}
		id := w.ask(hook.TaskCancelPending, in).ID
		_, stop := w.start()
		defer stop()
		time.Sleep(3 * passPause)
		if x, data := w.now(id); x.Status != hook.TaskRunning || data.UnderWay != 2 || data.MessagesCanceled != 1 || data.Progress.Looked != 3 {
			t.Errorf("while two are in memory the task is %s, %+v", x.Status, data)
		}
		for i, state := range []hook.DeliveryState{hook.Delivered, hook.Pending} { // the second failed, and waits for its retry
			a := &hook.Attempt{Number: 1, At: time.Now(), Outcome: hook.OutcomeStatus, Status: 500}
			r := &hook.Record{Delivery: claimed[i], State: state, NextAt: time.Now().Add(time.Hour), Attempt: a}
			if err := w.Record(t.Context(), []*hook.Record{r}); err != nil || r.Refused {
				t.Fatal(err, r.Refused)
			}
		}
		young := w.message(w.app, hook.Message{}, hook.Pending, e)
		w.end()
		if _, data := w.now(id); data.MessagesCanceled != 2 || data.UnderWay != 0 {
			t.Errorf("at the end: %+v", data)
		}
		for i, m := range []hook.Message{one, two, free, young} {
			want := []hook.DeliveryState{hook.Delivered, hook.Canceled, hook.Canceled, hook.Pending}[i]
			if got := w.states(m, e); !slices.Equal(got, []hook.DeliveryState{want}) {
				t.Errorf("message %d is %v, %v is right", i, got, want)
			}
		}
	})
}

func TestCancelPendingLeavesWhatWasSentAgainByHandSince(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		e := w.endpoint(w.app)
		by, scheduled := w.message(w.app, hook.Message{}, hook.Failed, e), w.message(w.app, hook.Message{}, hook.Held, e)
		in := lately(e)
		in.States = []hook.DeliveryState{hook.Pending, hook.Held}
		w.ask(hook.TaskCancelPending, in)
		time.Sleep(time.Second)
		if err := w.Resend(t.Context(), by.ID+1, time.Now()); err != nil {
			t.Fatal(err)
		}
		if _, err := w.ReleaseHeld(t.Context(), e.ID, time.Now().Add(time.Hour), time.Second, 10); err != nil {
			t.Fatal(err)
		}
		_, stop := w.start()
		defer stop()
		w.end()
		if a, b := w.states(by, e)[0], w.states(scheduled, e)[0]; a != hook.Pending || b != hook.Canceled {
			t.Errorf("sent again by hand: %v; to be sent later: %v", a, b)
		}
	})
}

func TestReplayedDeliveriesSayThatTheyAre(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		e, late := w.endpoint(w.app), w.endpoint(w.app)
		m := w.message(w.app, hook.Message{}, hook.Failed, e)
		w.job(hook.TaskBulkReplay, lately(e))
		w.job(hook.TaskReplayMissing, lately(late))
		all, err := w.Deliveries(t.Context(), &m)
		if err != nil || len(all) != 2 {
			t.Fatal(all, err)
		}
		for _, d := range all {
			if d.Trigger != hook.Replay || d.Failures != 0 || !d.Since.Equal(d.NextAt) || d.State != hook.Pending {
				t.Errorf("a delivery is %+v", d)
			}
		}
	})
}

// Tasks to an endpoint that is not enabled leave what they send with the others
// that it has to get when it is.
func TestReplayToAPausedEndpointIsHeld(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		e := w.set(w.endpoint(w.app), hook.Paused)
		m := w.message(w.app, hook.Message{}, hook.Failed, e)
		if got := w.job(hook.TaskBulkReplay, lately(e)); got.MessagesSent != 1 || w.states(m, e)[0] != hook.Held || len(w.due) != 0 {
			t.Errorf("%+v; it is %v, due %v", got, w.states(m, e), w.due)
		}
	})
}

func TestWhatFailedSaysHowFarItCame(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		e := w.endpoint(w.app)
		w.messages(batch, hook.Failed, e)
		id := w.ask(hook.TaskBulkReplay, lately(e)).ID
		_, stop := w.start()
		defer stop()
		for _, data := w.now(id); data.MessagesSent == 0; _, data = w.now(id) {
			time.Sleep(time.Millisecond)
		}
		if err := w.DeleteEndpoint(t.Context(), w.app.ID, e.ID); err != nil {
			t.Fatal(err)
		}
		got := w.end()
		var data struct {
			hook.JobData
			Error string
		}
		if err := json.Unmarshal(got.Data, &data); err != nil || got.Status != hook.TaskFailed || data.MessagesSent == 0 || data.Error == "" {
			t.Errorf("%s: %s, %v", got.Status, got.Data, err)
		}
	})
}
