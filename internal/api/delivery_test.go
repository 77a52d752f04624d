package api_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync"
	"testing"
)

// slowReceiver tells of each request that came and answers none before leave.
func (h *harness) slowReceiver() (url string, came <-chan struct{}, leave func()) {
	arrived, left := make(chan struct{}, 10), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-left
	}))
	leave = sync.OnceFunc(func() { close(left) })
	h.t.Cleanup(s.Close)
	h.t.Cleanup(leave)
	return s.URL, arrived, leave
}

func TestADeliverySaysWhereItIsAndWhatHappensNext(t *testing.T) {
	t.Parallel()
	f := newFates(t)
	for name, want := range map[string]struct {
		state, outcome, next string
		until                bool
	}{
		"ok":      {"delivered", "delivered", `^nothing: delivered$`, false},
		"bad":     {"pending", "status", `^attempt 2 at 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$`, true},
		"gone":    {"failed", "status", `^nothing: given up after 1 attempt; resend to try again$`, false},
		"held":    {"held", "", `^held: the endpoint is paused by hand$`, false},
		"dropped": {"canceled", "status", `^nothing: canceled; resend to try again$`, false},
	} {
		d := f.delivery(name)
		if d["state"] != want.state || !regexp.MustCompile(want.next).MatchString(d["next"].(string)) {
			t.Errorf("%s: %v, %v is right", name, d, want)
		}
		if (d["until"] != nil) != want.until || (d["nextAttempt"] != nil) != want.until {
			t.Errorf("%s: until %v, next %v", name, d["until"], d["nextAttempt"])
		}
		last, _ := d["lastAttempt"].(map[string]any)
		if outcome, _ := last["outcome"].(string); outcome != want.outcome {
			t.Errorf("%s: the last attempt is %v", name, last)
		}
	}
}

// Who is told to resend what has no payload any more is refused when he does.
func TestNobodyIsToldToResendWhatHasNoPayload(t *testing.T) {
	t.Parallel()
	f := newFates(t)
	f.must(http.StatusNoContent, "DELETE", f.path("/msg/%s/content", f.msg), nil)
	whole := f.must(http.StatusOK, "GET", "/api/v1/msg/"+f.msg, nil)["deliveries"].([]any)
	for name, want := range map[string]string{
		"ok":      "nothing: delivered",
		"gone":    "nothing: given up after 1 attempt; its payload was deleted, so it cannot be sent again",
		"held":    "nothing: canceled; its payload was deleted, so it cannot be sent again",
		"dropped": "nothing: canceled; its payload was deleted, so it cannot be sent again",
	} {
		if d := f.delivery(name); d["next"] != want {
			t.Errorf("%s: next is %q, %q is right", name, d["next"], want)
		}
		for _, d := range whole {
			if d := d.(map[string]any); d["endpoint"] == name && d["next"] != want {
				t.Errorf("%s, of the message: next is %q, %q is right", name, d["next"], want)
			}
		}
	}
}

func TestNobodyIsToldToResendToWhatWasDeleted(t *testing.T) {
	t.Parallel()
	f := newFates(t)
	was := f.delivery("bad")["id"]
	f.must(http.StatusNoContent, "DELETE", f.path("/endpoint/bad"), nil)
	const want = "nothing: canceled; its endpoint was deleted, so it cannot be sent again"
	eventually(t, "the delivery says so", func() bool {
		for _, d := range f.rows(f.path("/msg/%s/delivery", f.msg)) {
			if d["id"] == was {
				return d["next"] == want
			}
		}
		return false
	})
}

func TestCancelEndsWhatIsPendingOrHeld(t *testing.T) {
	t.Parallel()
	f := newFates(t)
	for name, want := range map[string]int{"bad": 204, "held": 204, "ok": 409, "gone": 409, "dropped": 409} {
		path := f.path("/msg/e-1/delivery/%s/cancel", f.delivery(name)["id"])
		before := f.delivery(name)["state"]
		f.must(want, "POST", path, nil)
		after := f.delivery(name)["state"]
		if want == http.StatusNoContent && after != "canceled" || want != http.StatusNoContent && after != before {
			t.Errorf("%s is %v after %d", name, after, want)
		}
		f.must(http.StatusConflict, "POST", path, nil)
	}
	f.must(http.StatusOK, "PATCH", f.path("/endpoint/held"), `{"paused":false}`)
	f.must(http.StatusAccepted, "POST", f.path("/msg"), `{"eventType":"second","eventId":"e-2","payload":{}}`)
	eventually(t, "the next message is delivered", func() bool {
		return len(f.rows(f.path("/attempt/endpoint/held"))) > 0
	})
	for _, m := range f.rows(f.path("/attempt/endpoint/held?with_msg=true")) {
		if m["msgId"] == f.msg {
			t.Error("what was canceled was sent")
		}
	}
}
