package mail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
)

func decoded(t *testing.T, msg *mail.Message) string {
	t.Helper()
	raw := io.Reader(msg.Body)
	if msg.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		raw = quotedprintable.NewReader(raw)
	}
	body, err := io.ReadAll(raw)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(body), "\r\n", "\n")
}

// postbox notes what goes out, and when.
type postbox struct {
	mu    sync.Mutex
	began time.Time
	fail  int // how many deliveries fail first
	sent  []string
	tried []time.Duration // since it began
	body  string
}

func (b *postbox) deliver(_ context.Context, subject, body string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tried = append(b.tried, time.Since(b.began))
	if b.fail > 0 {
		b.fail--
		return errors.New("the server is away")
	}
	b.sent, b.body = append(b.sent, subject), body
	return nil
}

// seen are the subjects of what went out, the newest body, and when it was tried.
func (b *postbox) seen() (subjects []string, body string, tried []time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.sent), b.body, slices.Clone(b.tried)
}

func (b *postbox) subjects() []string {
	subjects, _, _ := b.seen()
	return subjects
}

// breaks makes the next n deliveries fail.
func (b *postbox) breaks(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = n
}

// running runs a mailer in a bubble of time, until the bubble ends.
func running(t *testing.T, o Options) (*Mailer, *postbox) {
	t.Helper()
	o.From, o.To = "a@example.com", []string{"b@example.com"}
	m := mailer(t, o)
	b := &postbox{began: time.Now()}
	m.deliver = b.deliver
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return m, b
}

// pass lets time pass in a bubble, and what is due in it happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func about(n int, s hook.Severity) hook.Alert {
	return hook.Alert{Kind: hook.AlertEndpointDisabled, Severity: s, About: fmt.Sprint("ep_", n), At: time.Now(), Title: fmt.Sprint("Endpoint ", n, " was disabled")}
}

func TestManyAlertsWithinAMinuteAreOneMail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, b := running(t, Options{Interval: 5 * time.Minute})
		m.Add(about(1, hook.Warning))
		pass(30 * time.Second)
		m.Add(about(2, hook.Critical))
		m.Add(about(2, hook.Critical))
		pass(29 * time.Second)
		if len(b.subjects()) != 0 {
			t.Errorf("sent at once: %v", b.subjects())
		}
		pass(2 * time.Second)
		sent, body, _ := b.seen()
		if d := cmp.Diff([]string{"[Sigpost] Endpoint 2 was disabled, and 1 more"}, sent); d != "" {
			t.Error(d)
		}
		if !strings.Contains(body, "2 times from 2000-01-01 00:00 UTC to 2000-01-01 00:00 UTC") || strings.Index(body, "Endpoint 2") > strings.Index(body, "Endpoint 1") {
			t.Errorf("body\n%s", body)
		}
		// The next one keeps its distance.
		m.Add(about(3, hook.Warning))
		pass(4*time.Minute + 58*time.Second)
		if len(b.subjects()) != 1 {
			t.Errorf("sent too early: %v", b.subjects())
		}
		pass(2 * time.Second)
		if len(b.subjects()) != 2 {
			t.Errorf("sent %v", b.subjects())
		}
		pass(time.Hour)
		if len(b.subjects()) != 2 {
			t.Errorf("sent again: %v", b.subjects())
		}
	})
}

func TestOnlyWhatIsAskedForIsMailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		usual, a := running(t, Options{})
		chosen, b := running(t, Options{Kinds: []hook.AlertKind{hook.AlertEndpointDeleted}})
		deleted := hook.Alert{Kind: hook.AlertEndpointDeleted, Severity: hook.Info, About: "ep_9", Title: "deleted"}
		for _, x := range []hook.Alert{about(1, hook.Info), about(2, hook.Warning), deleted} {
			usual.Add(x)
			chosen.Add(x)
		}
		pass(2 * time.Minute)
		if d := cmp.Diff([]string{"[Sigpost] Endpoint 2 was disabled"}, a.subjects()); d != "" {
			t.Error("without kinds:", d)
		}
		if d := cmp.Diff([]string{"[Sigpost] deleted"}, b.subjects()); d != "" {
			t.Error("with kinds:", d)
		}
	})
}

func TestAMailThatFailsGoesOutLaterWithWhatCame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, b := running(t, Options{Interval: time.Minute})
		b.breaks(3)
		m.Add(about(1, hook.Warning))
		pass(90 * time.Second)
		m.Add(about(2, hook.Warning))
		m.Add(about(1, hook.Warning))
		pass(time.Hour)
		if d := cmp.Diff([]string{"[Sigpost] Endpoint 1 was disabled, and 1 more"}, b.subjects()); d != "" {
			t.Error(d)
		}
		want := []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute}
		if _, _, tried := b.seen(); !slices.Equal(tried, want) {
			t.Errorf("tried at %v, %v is right", tried, want)
		}
	})
}

func TestAMailIsGivenUpInTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, b := running(t, Options{})
		b.breaks(1000)
		m.Add(about(1, hook.Warning))
		pass(24 * time.Hour)
		if _, _, tried := b.seen(); len(tried) != mostTries {
			t.Errorf("tried %d times", len(tried))
		}
		b.breaks(0)
		m.Add(about(2, hook.Warning))
		pass(time.Hour)
		if d := cmp.Diff([]string{"[Sigpost] Endpoint 2 was disabled"}, b.subjects()); d != "" {
			t.Error(d)
		}
	})
}

func TestWhatWaitsAtTheEndIsSent(t *testing.T) {
	t.Parallel()
	m := mailer(t, Options{From: "a@example.com", To: []string{"b@example.com"}})
	b := &postbox{}
	m.deliver = b.deliver
	m.Flush(t.Context())
	m.Add(about(1, hook.Warning))
	m.Flush(t.Context())
	m.Flush(t.Context())
	if d := cmp.Diff([]string{"[Sigpost] Endpoint 1 was disabled"}, b.subjects()); d != "" {
		t.Error(d)
	}
}

func TestADigestIsBounded(t *testing.T) {
	t.Parallel()
	var d, later digest
	for i := range 1000 {
		d.add(about(i, hook.Warning))
		later.add(about(i, hook.Warning))
	}
	d.join(&later)
	if len(d.groups) != mostGroups || d.count != 2000 || d.left != 2*(1000-mostGroups) {
		t.Errorf("%d groups, %d alerts, %d left", len(d.groups), d.count, d.left)
	}
	body := d.body("here")
	if !strings.Contains(body, "1600 more alerts had no place here") || strings.Count(body, "When:") != mostTold || strings.Count(body, "\n- ") != mostGroups-mostTold {
		t.Errorf("body\n%s", body)
	}
	if got := clean(strings.Repeat("ü", 300), 150); got != strings.Repeat("ü", 149)+"…" {
		t.Errorf("a long name becomes %q", got)
	}
}
