package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/provider"
	"github.com/sigpost/sigpost/signature"
)

// sink receives the events of a provider: it verifies each and classifies it.
type sink struct {
	url string

	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
	keys     map[string]int // dedupe keys, with how often each came
	bad      []error
}

// newSink listens on loopback. answer may be nil for 200.
func newSink(t *testing.T, d *provider.Definition, secret string, answer http.HandlerFunc) *sink {
	t.Helper()
	s := &sink{keys: map[string]int{}}
	var verifier *signature.Verifier
	if d.Signed() {
		var err error
		if verifier, err = signature.NewVerifier(d.Scheme, secret); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && verifier != nil {
			_, err = verifier.Verify(signature.Request{Method: r.Method, URL: s.url, Header: r.Header, Body: body}, time.Now())
		}
		s.mu.Lock()
		s.requests = append(s.requests, r)
		s.bodies = append(s.bodies, string(body))
		s.keys[d.Classify(r.Header, body).DedupeKey]++
		if err != nil {
			s.bad = append(s.bad, err)
		}
		s.mu.Unlock()
		if answer != nil {
			answer(w, r)
			return
		}
		fmt.Fprint(w, "thank you")
	}))
	t.Cleanup(server.Close)
	s.url = server.URL + "/in/x?token=geheim"
	return s
}

func builtin(t *testing.T, name string) *provider.Definition {
	t.Helper()
	set, err := provider.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	d, err := set.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// secretOf is a new secret of d; empty when it signs nothing.
func secretOf(t *testing.T, d *provider.Definition) string {
	t.Helper()
	if !d.Signed() {
		return ""
	}
	secret, err := d.GenerateSecret()
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func TestTriggeredSamplesOfAllProvidersVerify(t *testing.T) {
	t.Parallel()
	set, err := provider.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range set.Names() {
		d := builtin(t, name)
		for _, sample := range d.Samples() {
			t.Run(sample.EventType, func(t *testing.T) {
				t.Parallel()
				secret := secretOf(t, d)
				to := newSink(t, d, secret, nil)
				args := []string{"trigger", sample.EventType, "--same", "--to", to.url}
				r := invocation{args: args, env: map[string]string{"SIGPOST_SECRET": secret}}.run(t)
				r.expect(t, ExitOK, "1  200 OK  ", sample.EventType, "thank you")
				r.never(t, "geheim")
				if len(to.bad) > 0 || len(to.bodies) != 1 {
					t.Fatalf("%d requests, faults %v", len(to.bodies), to.bad)
				}
				if to.bodies[0] != string(sample.Body) {
					t.Errorf("the body is not that of the sample:\n%s", to.bodies[0])
				}
				if got := d.Classify(to.requests[0].Header, []byte(to.bodies[0])).Type; got != sample.EventType {
					t.Errorf("it arrives as %s", got)
				}
			})
		}
	}
}

func TestEventsOfOneRunAreDistinct(t *testing.T) {
	t.Parallel()
	for _, eventType := range []string{
		"veriff.decision.approved", "veriff.event.started", "veriff.ine.result", "metamap.verification_completed", "meeva.booking.rescheduled",
		"meetbot.recording.finalized", "stripe.invoice.paid", "github.push", "user.created", "order.created",
	} {
		t.Run(eventType, func(t *testing.T) {
			t.Parallel()
			set, err := provider.Builtin()
			if err != nil {
				t.Fatal(err)
			}
			d, sample, err := findSample(set, "", eventType)
			if err != nil {
				t.Fatal(err)
			}
			secret := secretOf(t, d)
			to := newSink(t, d, secret, nil)
			run := func(more ...string) {
				args := append([]string{"trigger", eventType, "--to", to.url, "--count", "5"}, more...)
				invocation{args: args, env: map[string]string{"SIGPOST_SECRET": secret}}.run(t).expect(t, ExitOK)
			}
			run()
			if len(to.keys) != 5 || len(to.bad) > 0 {
				t.Errorf("%d distinct events of 5, faults %v", len(to.keys), to.bad)
			}
			for i, body := range to.bodies {
				if len(body) != len(sample.Body) && d.Name != "generic" {
					t.Errorf("the ids have another form than those of the sample:\n%s", body)
				}
				if got := d.Classify(to.requests[i].Header, []byte(body)).Type; got != eventType {
					t.Errorf("event %d arrives as %s", i, got)
				}
			}
			clear(to.keys)
			run("--same")
			if len(to.keys) != 1 {
				t.Errorf("%d distinct events with --same, want 1", len(to.keys))
			}
		})
	}
}

func TestTriggerGivesEachSubjectOneNewID(t *testing.T) {
	t.Parallel()
	d := builtin(t, "meeva")
	secret := secretOf(t, d)
	to := newSink(t, d, secret, nil)
	sigpost(t, "trigger", "meeva.booking.rescheduled", "--to", to.url, "--secret", secret).expect(t, ExitOK)
	event := d.Classify(nil, []byte(to.bodies[0]))
	if len(event.Subjects) != 2 || event.Subjects[0] == event.Subjects[1] || !strings.HasPrefix(event.Subjects[0].ID, "bkg_") || event.Subjects[0].ID == "bkg_sample0002" {
		t.Errorf("subjects %v, want two new bookings", event.Subjects)
	}
}

func TestTriggerChangesBodyAndHeaders(t *testing.T) {
	t.Parallel()
	d := builtin(t, "veriff")
	secret := secretOf(t, d)
	to := newSink(t, d, secret, nil)
	r := sigpost(t, "trigger", "veriff.decision.approved", "--to", to.url, "--secret", secret, "--auth-client", "api-key-1",
		"--set", "verification.status=declined", "--set", "verification.code=9102", "--set", "verification.id=my-session", "--header", "X-Extra: 1", "--json")
	r.expect(t, ExitOK)
	var line sent
	if err := json.Unmarshal([]byte(r.out), &line); err != nil {
		t.Fatal(err)
	}
	if line.Type != "veriff.decision.declined" || line.Status != 200 || !line.Taken || line.Answer != "thank you" || line.Event != 1 || line.Attempt != 1 {
		t.Errorf("reported %s", r.out)
	}
	h := to.requests[0].Header
	if h.Get("X-AUTH-CLIENT") != "api-key-1" || h.Get("X-Extra") != "1" || h.Get("Content-Type") != "application/json" || h.Get("User-Agent") != "Sigpost/test" {
		t.Errorf("headers %v", h)
	}
	for _, want := range []string{`"status":"declined"`, `"code":9102`, `"id":"my-session"`} {
		if !strings.Contains(to.bodies[0], want) {
			t.Errorf("the body lacks %s:\n%s", want, to.bodies[0])
		}
	}
	if len(to.bad) > 0 {
		t.Errorf("the changed body is not signed: %v", to.bad)
	}
	r.never(t, "api-key-1", secret)
}

func TestUserHeadersStandOverThoseOfTheProvider(t *testing.T) {
	t.Parallel()
	d := builtin(t, "standard-webhooks")
	secret := secretOf(t, d)
	to := newSink(t, d, secret, nil)
	run := func(header string) {
		sigpost(t, "trigger", "invoice.paid", "--to", to.url, "--secret", secret, "--header", header).expect(t, ExitOK)
	}
	run("X-Extra: 1")
	if got := to.requests[0].Header.Get("webhook-id"); !strings.HasPrefix(got, "msg_") {
		t.Errorf("id %q, want one of the usual form", got)
	}
	run("webhook-id: msg_mine")
	if got := to.requests[1].Header.Get("webhook-id"); got != "msg_mine" || len(to.bad) > 0 {
		t.Errorf("id %q, faults %v; want one's own id, signed", got, to.bad)
	}
	run("webhook-signature: v1,AAAA")
	if len(to.bad) != 1 {
		t.Errorf("%d bad signatures, want the one that was asked for", len(to.bad))
	}
}

func TestTriggerJudgesAnswersAsTheProviderDoes(t *testing.T) {
	t.Parallel()
	redirect := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	tests := []struct {
		eventType string
		answer    http.HandlerFunc
		code      int
		want      string
	}{
		{"veriff.event.started", status(201), ExitInvalid, "not taken: Veriff takes only 200 for success"},
		{"github.ping", status(204), ExitOK, "204 No Content"},
		{"github.ping", status(500), ExitInvalid, "not taken: GitHub takes only 2xx for success"},
		{"github.ping", redirect, ExitInvalid, "redirects are not followed"},
		{"github.ping", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "a\x1b[2J\nb") }, ExitOK, "a [2J b"},
	}
	for _, tt := range tests {
		d := builtin(t, strings.SplitN(tt.eventType, ".", 2)[0])
		secret := secretOf(t, d)
		to := newSink(t, d, secret, tt.answer)
		r := sigpost(t, "trigger", tt.eventType, "--to", to.url, "--secret", secret)
		r.expect(t, tt.code, tt.want)
		r.never(t, "\x1b", secret)
		if tt.code != ExitOK {
			r.expect(t, tt.code, "sigpost: 1 of 1 events were not taken")
		}
	}
}

func TestTriggerSaysWhenThereIsNoAnswer(t *testing.T) {
	t.Parallel()
	config := file(t, "sigpost.yaml", shopConfig)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	r := sigpost(t, "trigger", "myshop.sold", "--config", config, "--to", gone.URL+"/?token=geheim", "--secret", "open sesame")
	r.expect(t, ExitInvalid, "1  no answer", "not taken: ", "connection refused")
	r.never(t, "geheim")

	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a server sees that its client has gone only after that
		<-r.Context().Done()
	}))
	defer hangs.Close()
	r = sigpost(t, "trigger", "myshop.sold", "--config", config, "--to", hangs.URL, "--secret", "open sesame")
	r.expect(t, ExitInvalid, "no whole answer within 200ms")
}

func TestTriggerRetriesOnTheProvidersSchedule(t *testing.T) {
	t.Parallel()
	config := file(t, "sigpost.yaml", shopConfig)
	for _, tt := range []struct {
		failures, tries, code int
	}{{1, 2, ExitOK}, {9, 3, ExitInvalid}} {
		tries := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			tries++
			if tries <= tt.failures {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			w.WriteHeader(http.StatusAccepted)
		}))
		r := sigpost(t, "trigger", "myshop.sold", "--config", config, "--to", server.URL, "--secret", "open sesame", "--retry")
		server.Close()
		r.expect(t, tt.code, "1.1  500", "next try in 1ms", "1.2  ")
		if tries != tt.tries {
			t.Errorf("%d tries, want %d", tries, tt.tries)
		}
	}
}

func TestRetryWaitFollowsTheSchedule(t *testing.T) {
	t.Parallel()
	const never = -1
	tests := map[string]struct {
		policy   *provider.SendPolicy
		failures int
		elapsed  time.Duration
		want     time.Duration
	}{
		"first of a schedule":         {builtin(t, "metamap").Send, 1, 0, time.Minute},
		"last of a schedule":          {builtin(t, "metamap").Send, 5, 16 * time.Minute, 10 * time.Minute},
		"after a schedule":            {builtin(t, "metamap").Send, 6, 26 * time.Minute, never},
		"interval":                    {builtin(t, "veriff").Send, 100, 99 * time.Hour, time.Hour},
		"at the end of a window":      {builtin(t, "veriff").Send, 168, 167 * time.Hour, time.Hour},
		"beyond a window":             {builtin(t, "veriff").Send, 169, 168 * time.Hour, never},
		"usual waits within a window": {builtin(t, "stripe").Send, 2, time.Minute, 5 * time.Minute},
		"usual waits":                 {nil, 3, time.Hour, 30 * time.Minute},
		"no retries":                  {builtin(t, "github").Send, 1, 0, never},
	}
	for name, tt := range tests {
		got, ok := retryWait(tt.policy, tt.failures, tt.elapsed)
		if !ok {
			got = never
		}
		if got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func TestTriggerKeepsARateWhateverTheAnswersTake(t *testing.T) {
	t.Parallel()
	d := builtin(t, "meeva")
	secret := secretOf(t, d)
	// Nobody is answered before all five are there: one after the other would hang.
	var arrived sync.WaitGroup
	arrived.Add(5)
	to := newSink(t, d, secret, func(http.ResponseWriter, *http.Request) {
		arrived.Done()
		arrived.Wait()
	})
	begun := time.Now()
	r := sigpost(t, "trigger", "meeva.booking.created", "--to", to.url, "--secret", secret, "--count", "5", "--rate", "100", "--json")
	r.expect(t, ExitOK)
	if n := strings.Count(r.out, "\n"); n != 5 {
		t.Errorf("%d lines, want 5", n)
	}
	if took := time.Since(begun); took < 40*time.Millisecond {
		t.Errorf("5 events at 100/s took %v, want at least 40 ms", took)
	}
}

func TestTriggerListsItsSamples(t *testing.T) {
	t.Parallel()
	sigpost(t, "trigger", "--list").expect(t, ExitOK, "veriff.watchlist.initial_result", "github.push", "order.created")
	r := sigpost(t, "trigger", "--list", "--provider", "meeva", "--json")
	var all []sampleLine
	if err := json.Unmarshal([]byte(r.out), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 3 || all[0].EventType != "meeva.booking.cancelled" || all[0].About == "" {
		t.Errorf("listed %v", all)
	}
}

func TestTriggerRefusesBeforeItSends(t *testing.T) {
	t.Parallel()
	config := file(t, "sigpost.yaml", shopConfig)
	const secret = "abcdef12-abcd-abcd-abcd-abcdef012345"
	to := newSink(t, builtin(t, "generic"), "", nil)
	tests := map[string]struct {
		args []string
		want string
	}{
		"nothing":               {[]string{"--to", to.url}, "takes one EVENT_TYPE"},
		"unknown type":          {[]string{"veriff.decision.aproved", "--to", to.url, "--secret", secret}, `did you mean "veriff.decision.approved"?`},
		"type of nobody":        {[]string{"invoice.payed", "--to", to.url, "--secret", secret}, `did you mean "invoice.paid"?`},
		"type of another":       {[]string{"github.push", "--provider", "veriff", "--to", to.url, "--secret", secret}, "provider veriff has no sample"},
		"no URL":                {[]string{"veriff.event.started", "--secret", secret}, "--to is missing"},
		"no scheme":             {[]string{"veriff.event.started", "--to", "localhost:3000", "--secret", secret}, `--to "localhost:3000" is no http or https URL`},
		"no secret":             {[]string{"veriff.event.started", "--to", to.url}, "--secret is missing"},
		"secret for nothing":    {[]string{"order.created", "--to", to.url, "--secret", secret}, "generic signs nothing"},
		"key for nothing":       {[]string{"github.push", "--to", to.url, "--secret", secret, "--auth-client", "x"}, "github sends no such key"},
		"no events":             {[]string{"veriff.event.started", "--to", to.url, "--secret", secret, "--count", "0"}, "--count 0"},
		"backwards":             {[]string{"veriff.event.started", "--to", to.url, "--secret", secret, "--rate", "-1"}, "--rate -1"},
		"retry of nobody":       {[]string{"github.push", "--to", to.url, "--secret", secret, "--retry"}, "tries once and never again"},
		"set below a text":      {[]string{"veriff.event.started", "--to", to.url, "--secret", secret, "--set", "id.x=1"}, "--set: id is a text"},
		"nothing to tell apart": {[]string{"myshop.sold", "--config", config, "--to", to.url, "--secret", secret, "--count", "2"}, "use --same"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := sigpost(t, append([]string{"trigger"}, tt.args...)...)
			r.expect(t, ExitUsage, tt.want)
			r.never(t, secret)
		})
	}
	if len(to.requests) > 0 {
		t.Errorf("%d requests were sent in spite of wrong use", len(to.requests))
	}
}
