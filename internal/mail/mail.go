// Package mail sends alerts by e-mail, over SMTP. What comes within a minute is
// one mail, and mails keep a distance. It decides nothing about alerts but which
// of them are mailed.
package mail

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Options of a Mailer.
type Options struct {
	// Host and Port are the SMTP server's.
	Host string
	Port int
	// TLS begins with TLS (smtps). Otherwise it begins in clear and goes on with
	// STARTTLS, which must be there unless the server is on this machine.
	TLS bool
	// User and Password authenticate; an empty User does not.
	User     string
	Password hook.Secret
	// From is one address, To several, as in a mail's header.
	From string
	To   []string
	// Kinds are those that are mailed; empty means all that are more than
	// information.
	Kinds []hook.AlertKind
	// Interval is the shortest time between two mails.
	Interval time.Duration
	// Name is what mails call this server.
	Name string
	Log  *slog.Logger
	// Roots are trusted besides the system's; nil for none. For tests.
	Roots *x509.CertPool
}

const (
	// gather is how long the first alert waits for others.
	gather = time.Minute
	// firstRetry and lastRetry bound the waits after a mail was not taken; they
	// double. mostTries is when it is given up, some four hours later.
	firstRetry = time.Minute
	lastRetry  = time.Hour
	mostTries  = 9
)

// Mailer sends mails. Make one with New; it must Run.
type Mailer struct {
	o    Options
	from *mail.Address
	to   []*mail.Address
	// local: the server is on this machine.
	local bool
	// deliver sends one mail.
	deliver func(ctx context.Context, subject, body string) error

	wake    chan struct{}
	mu      sync.Mutex
	pending digest
	last    time.Time // when the last mail went out
}

// New makes a Mailer. The error names what is wrong with an address.
func New(o Options) (*Mailer, error) {
	m := &Mailer{o: o, local: local(o.Host), wake: make(chan struct{}, 1)}
	m.deliver = m.send
	var err error
	if m.from, err = mail.ParseAddress(o.From); err != nil {
		return nil, hook.Errorf(hook.CodeInvalid, "from: %q is not an e-mail address", o.From)
	}
	for _, text := range o.To {
		a, err := mail.ParseAddress(text)
		if err != nil {
			return nil, hook.Errorf(hook.CodeInvalid, "to: %q is not an e-mail address", text)
		}
		m.to = append(m.to, a)
	}
	return m, nil
}

// To says who gets the mails.
func (m *Mailer) To() string {
	list := make([]string, len(m.to))
	for i, a := range m.to {
		list[i] = a.Address
	}
	return strings.Join(list, ", ")
}

// wants says whether an alert is mailed.
func (m *Mailer) wants(x *hook.Alert) bool {
	if len(m.o.Kinds) > 0 {
		return slices.Contains(m.o.Kinds, x.Kind)
	}
	return x.Severity > hook.Info
}

// Add puts an alert into the next mail, if it is mailed. It does not block, and
// what it keeps in memory is bounded.
func (m *Mailer) Add(x hook.Alert) {
	if !m.wants(&x) {
		return
	}
	m.mu.Lock()
	m.pending.add(x)
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Try sends an alert at once, whatever its kind, and says what came of it.
func (m *Mailer) Try(ctx context.Context, x hook.Alert) error {
	var d digest
	d.add(x)
	return m.deliver(ctx, d.subject(), d.body(m.o.Name))
}

// Run sends mails until ctx ends.
func (m *Mailer) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.wake:
		}
		if !pause(ctx, max(gather, m.o.Interval-time.Since(m.last))) {
			return nil
		}
		m.sendPending(ctx)
	}
}

// Flush sends what waits, at once and once, after Run has ended.
func (m *Mailer) Flush(ctx context.Context) {
	if d := m.take(); !d.empty() {
		if err := m.deliver(ctx, d.subject(), d.body(m.o.Name)); err != nil {
			m.o.Log.Warn("alert mail not sent", "alerts", d.count, "error", err)
		}
	}
}

// sendPending sends what waits, and tries again when that fails. What comes
// meanwhile goes along.
func (m *Mailer) sendPending(ctx context.Context) {
	wait := firstRetry
	for tries := 1; ; tries++ {
		d := m.take()
		if d.empty() {
			return
		}
		err := m.deliver(ctx, d.subject(), d.body(m.o.Name))
		m.last = time.Now()
		if err == nil {
			m.o.Log.Info("alert mail sent", "alerts", d.count)
			return
		}
		if tries == mostTries {
			m.o.Log.Error("alert mail given up", "alerts", d.count, "error", err)
			return
		}
		m.giveBack(d)
		if ctx.Err() != nil {
			return
		}
		m.o.Log.Warn("alert mail not sent", "alerts", d.count, "error", err, "again", wait)
		if !pause(ctx, wait) {
			return
		}
		wait = min(2*wait, lastRetry)
	}
}

func (m *Mailer) take() digest {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.pending
	m.pending = digest{}
	return d
}

// giveBack puts a digest before what came since.
func (m *Mailer) giveBack(d digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d.join(&m.pending)
	m.pending = d
}

// pause waits, and says whether ctx lasted.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
