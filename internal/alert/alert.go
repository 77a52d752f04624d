// Package alert tells what somebody may have to act on: that an endpoint was
// disabled, that a source's requests do not verify, that nothing came for longer
// than usual. Each alert goes three ways: as an operational webhook, which is a
// message like any other; by e-mail; and as one line of the log. This package
// notices, words and tells once; it sends nothing by itself.
package alert

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Store is what alerts are read from, and where it stands what was told.
type Store interface {
	Application(ctx context.Context, org, id hook.Key) (hook.Application, error)
	Applications(ctx context.Context, org hook.Key, page hook.Page, f hook.AppFilter) ([]hook.Application, error)
	Endpoint(ctx context.Context, app, id hook.Key) (hook.Endpoint, error)
	EndpointsOf(ctx context.Context, app hook.Key) ([]hook.Endpoint, error)
	Sources(ctx context.Context) ([]hook.Source, error)
	SourceByApp(ctx context.Context, org, app hook.Key) (hook.Source, error)
	ListRejected(ctx context.Context, source, before hook.Key, limit int) ([]hook.Rejected, error)
	ListMessagesOf(ctx context.Context, q hook.MessageQuery) (list []hook.Message, next hook.Key, err error)
	// MessageGaps goes through the messages of an application by jumping; see store.
	MessageGaps(ctx context.Context, app, from hook.Key, least time.Duration, steps int) (gaps []hook.Gap, at hook.Key, more bool, err error)
	CountIndexed(ctx context.Context, app hook.Key, since time.Time, limit int) (int, error)

	// ClaimAlert says whether the caller is to tell of something now; AlertTold
	// that he did. A claim that was not followed by it can be had again.
	ClaimAlert(ctx context.Context, c hook.AlertClaim, now time.Time) (bool, error)
	AlertTold(ctx context.Context, c hook.AlertClaim) error
	ForgetAlert(ctx context.Context, about hook.Key, kind hook.AlertKind) error
	ForgetAlerts(ctx context.Context) (int64, error)
	DisabledUntold(ctx context.Context, now time.Time, limit int) ([]hook.Endpoint, error)
}

// Pipeline keeps operational webhooks and sends them on their way.
type Pipeline interface {
	Accept(ctx context.Context, in hook.Incoming) (hook.Receipt, error)
	// Active says whether an enabled endpoint wants such a message.
	Active(app hook.Key, eventType string, channels []string) bool
}

// Mailer sends alerts by e-mail.
type Mailer interface {
	// Add puts an alert into the next mail. It does not block.
	Add(x hook.Alert)
	// Try sends an alert at once and says what came of it.
	Try(ctx context.Context, x hook.Alert) error
	// To says who gets the mails.
	To() string
}

// Options of Alerts. All are needed but those that may be nil or zero.
type Options struct {
	Store    Store
	Pipeline Pipeline
	IDs      *hook.IDs
	Log      *slog.Logger
	Mail     Mailer // nil: there is no e-mail
	Rate     Rate
	// Silence is the shortest time without an event that may be told of; 0 tells
	// of none.
	Silence time.Duration
}

// queueLimit is how many alerts may wait. What comes from those who send and
// record attempts must not wait for a webhook about one of them.
const queueLimit = 1024

// Alerts tells. Make one with New; it must Run for what is not told at once.
type Alerts struct {
	Options
	queue   chan func(context.Context)
	dropped atomic.Int64 // since it was last logged
	tallies sync.Map     // hook.Key of a source → *tally
	ears    map[hook.Key]*ear
	began   time.Time

	mu    sync.Mutex
	tried time.Time // the last test
}

// New makes Alerts.
func New(o Options) *Alerts {
	return &Alerts{Options: o, queue: make(chan func(context.Context), queueLimit), ears: map[hook.Key]*ear{}, began: time.Now()}
}

// Run tells what is queued and watches the sources until ctx ends.
func (a *Alerts) Run(ctx context.Context) error {
	tick := time.NewTicker(rateEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case tell := <-a.queue:
			tell(ctx)
		case <-tick.C:
			a.WatchRates(ctx)
		}
		a.logDropped()
	}
}

// Drain tells what is still queued, after Run has ended, as far as ctx allows.
func (a *Alerts) Drain(ctx context.Context) {
	defer a.logDropped()
	for {
		select {
		case tell := <-a.queue:
			if ctx.Err() != nil {
				a.dropped.Add(1)
				continue
			}
			tell(ctx)
		default:
			return
		}
	}
}

// later queues something to be told. It never blocks: when too much waits, it is
// dropped and counted. What matters is not lost by that: that an endpoint is
// disabled, or failing, stands in the store, and is found there again (sweep.go).
func (a *Alerts) later(tell func(context.Context)) {
	select {
	case a.queue <- tell:
	default:
		a.dropped.Add(1)
	}
}

func (a *Alerts) logDropped() {
	if n := a.dropped.Swap(0); n > 0 {
		a.Log.Warn("alerts dropped: too many were waiting, or the end came first", "count", n)
	}
}

// Raise tells on all ways, at once. The error is that of the operational webhook,
// and it is logged already.
func (a *Alerts) Raise(ctx context.Context, x hook.Alert) error {
	if x.At.IsZero() {
		x.At = time.Now()
	}
	a.write(ctx, &x)
	if a.Mail != nil {
		a.Mail.Add(x)
	}
	return a.webhook(ctx, &x)
}

// onceTime bounds the telling of one alert.
const onceTime = 10 * time.Second

// once tells of something that was not told yet, by anyone, and says whether that
// is done. What fails is told another time, when it is noticed again. What was
// begun is ended even when ctx ends: a claim that is left keeps others from telling
// for a while.
func (a *Alerts) once(ctx context.Context, c hook.AlertClaim, tell func(context.Context) error) bool {
	if ctx.Err() != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), onceTime)
	defer cancel()
	mine, err := a.Store.ClaimAlert(ctx, c, time.Now())
	if err == nil && mine {
		if err = tell(ctx); err == nil || hook.CodeOf(err) == hook.CodeNotFound { // or it was deleted meanwhile
			err = a.Store.AlertTold(ctx, c)
		}
	}
	if err != nil {
		a.Log.WarnContext(ctx, "alert is told another time", "kind", string(c.Kind), "error", err)
	}
	return err == nil
}

// logWords makes the log's message of a kind: "endpoint disabled".
var logWords = strings.NewReplacer(".", " ", "_", " ")

func (a *Alerts) write(ctx context.Context, x *hook.Alert) {
	level := slog.LevelInfo
	switch x.Severity {
	case hook.Warning:
		level = slog.LevelWarn
	case hook.Critical:
		level = slog.LevelError
	}
	if !a.Log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.String("about", x.About), slog.String("name", x.Name), slog.String("organization", a.IDs.Public(hook.KindOrganization, x.Org))}
	if !x.Since.IsZero() {
		attrs = append(attrs, slog.Time("since", x.Since))
	}
	if x.Why != "" {
		attrs = append(attrs, slog.String("reason", x.Why))
	}
	if x.Look != "" {
		attrs = append(attrs, slog.String("look", x.Look))
	}
	a.Log.LogAttrs(ctx, level, logWords.Replace(string(x.Kind)), attrs...)
}

// operationalApp is the key of an organization's application of operational
// webhooks, 0 when it has none yet: to look does not make one.
func (a *Alerts) operationalApp(ctx context.Context, org hook.Key) (hook.Key, error) {
	list, err := a.Store.Applications(ctx, org, hook.Page{Limit: 1, Ascending: true}, hook.AppFilter{Kind: hook.AppOperational})
	if err != nil || len(list) == 0 {
		return 0, err
	}
	return list[0].ID, nil
}

// webhook sends the operational webhook when somebody listens.
func (a *Alerts) webhook(ctx context.Context, x *hook.Alert) error {
	if x.Data == nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx) // that its cause was done holds although the caller has gone
	app, err := a.operationalApp(ctx, x.Org)
	if err == nil && (app == 0 || !a.Pipeline.Active(app, string(x.Kind), nil)) {
		return nil
	}
	if err == nil {
		_, err = a.send(ctx, x, app, 0)
	}
	if err != nil {
		a.Log.WarnContext(ctx, "operational webhook not sent", "type", string(x.Kind), "error", err)
	}
	return err
}

// send keeps the webhook of an alert, for one endpoint or (0) all that want it.
func (a *Alerts) send(ctx context.Context, x *hook.Alert, app, only hook.Key) (hook.Receipt, error) {
	body, err := json.Marshal(map[string]any{"type": x.Kind, "data": x.Data})
	if err != nil {
		return hook.Receipt{}, err
	}
	return a.Pipeline.Accept(ctx, hook.Incoming{
		Org: x.Org, App: app, Event: hook.Event{Type: string(x.Kind)}, ReceivedAt: time.Now(), Body: body, Only: only,
		Headers: []hook.Header{{Name: "Content-Type", Value: "application/json"}},
	})
}
