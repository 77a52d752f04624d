// Package intake is the front door for providers: POST /in/{token}. It reads
// the exact bytes, verifies them, classifies what verified, and answers only
// after the pipeline has it on disk. No parser sees a body before its
// signature was found good.
package intake

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/signature"
)

// Prefix of the paths that it serves.
const Prefix = "/in/"

// Pipeline takes verified events.
type Pipeline interface {
	Accept(ctx context.Context, in hook.Incoming) (hook.Receipt, error)
}

// Store keeps rejected requests.
type Store interface {
	Reject(ctx context.Context, r *hook.Rejected) error
	MarkAccepted(ctx context.Context, rejected, message hook.Key) error
}

// Outcome is what became of a request: a label of the metrics and the log.
type Outcome string

// The outcomes.
const (
	Accepted       Outcome = "accepted"
	Duplicate      Outcome = "duplicate"
	BadSignature   Outcome = "bad_signature"
	Quarantined    Outcome = "quarantined"
	BadAddress     Outcome = "address_not_allowed"
	UnknownSource  Outcome = "unknown_source"
	BadMethod      Outcome = "method_not_allowed"
	TooLarge       Outcome = "too_large"
	BadRequest     Outcome = "bad_request" // the body was cut, or came too slowly
	Overloaded     Outcome = "overloaded"
	NotKept        Outcome = "not_kept" // own trouble
	QuarantineFull Outcome = "quarantine_full"
)

// Options of a Handler.
type Options struct {
	Pipeline Pipeline
	Store    Store
	IDs      *hook.IDs
	Log      *slog.Logger
	// TrustedProxies are the networks whose X-Forwarded-For counts.
	TrustedProxies []netip.Prefix
	// Lookup finds a source that another node may have made since, and puts it
	// to work; nil, without an error, when there is none. May be nil.
	Lookup func(ctx context.Context, token string) (*Source, error)
	// Observe is told of every request; source is nil when there is none of the name.
	Observe func(source *hook.Source, outcome Outcome, took time.Duration)
}

// bodyMemory bounds the bodies being read and kept at once, in bytes.
const bodyMemory = 256 << 20

// Handler receives webhooks. It must Run for rejected requests to be kept.
type Handler struct {
	o       Options
	mu      sync.Mutex // one change of sources at a time
	byToken sync.Map   // token → *Source
	byKey   sync.Map   // hook.Key → *Source
	memory  *semaphore.Weighted
	unknown unknown
	rejects chan *hook.Rejected
}

// New makes a Handler without sources.
func New(o Options) *Handler {
	return &Handler{o: o, memory: semaphore.NewWeighted(bodyMemory), rejects: make(chan *hook.Rejected, rejectQueue)}
}

// answer is what a request ends with.
type answer struct {
	status  int
	outcome Outcome
	detail  string
	receipt hook.Receipt
	id      string // public, of the receipt's message
	err     error  // for the log only
	reason  string
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	token := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, Prefix), "/")
	source := h.Source(token)
	var lost error
	if source == nil && h.o.Lookup != nil {
		source, lost = h.lookup(r.Context(), token)
	}
	var a answer
	var event hook.Event
	size := 0
	switch {
	case lost != nil:
		a = answer{status: http.StatusServiceUnavailable, outcome: NotKept, detail: "the source could not be looked up; try again", err: lost}
	case source == nil:
		a = answer{status: http.StatusNotFound, outcome: UnknownSource, detail: "no source has this URL; `sigpost source list` shows those there are"}
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		a = answer{status: http.StatusMethodNotAllowed, outcome: BadMethod, detail: "webhooks are sent with POST"}
	case !allowed(source.AllowIPs, h.Remote(r)):
		a = h.turnAway(r, source, start)
	default:
		a, event, size = h.receive(w, r, source, start)
	}
	if a.receipt.Message != 0 {
		a.id = h.o.IDs.Public(hook.KindMessage, a.receipt.Message)
	}
	h.write(w, &a)
	h.tell(r, source, &a, event.Type, size, time.Since(start))
}

// lookup asks the store for a token that memory does not know. The same unknown
// token is asked for once a second at the most.
func (h *Handler) lookup(ctx context.Context, token string) (*Source, error) {
	if token == "" || len(token) > longestToken || !h.unknown.ask(token, time.Now()) {
		return nil, nil
	}
	return h.o.Lookup(ctx, token)
}

// receive reads, verifies, classifies and keeps one request. marks are kept with its headers.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request, s *Source, now time.Time, marks ...hook.Header) (a answer, event hook.Event, size int) {
	room := room{memory: h.memory}
	defer room.free()
	body, bad := readBody(w, r, s.MaxBody, &room)
	if bad != nil {
		return *bad, event, 0
	}
	req := signature.Request{Method: r.Method, URL: s.Base + r.URL.RequestURI(), Header: r.Header, Body: body}
	event, reason := s.judge(req, now, true)
	if reason != "" {
		return h.reject(r, s, body, reason, now), event, len(body)
	}
	receipt, err := h.o.Pipeline.Accept(r.Context(), hook.Incoming{
		Org: s.Org, App: s.App, Event: event, ReceivedAt: now,
		Headers: append(s.headers.forward(r.Header), marks...), Body: body, Redeliver: s.Redeliver,
	})
	if err != nil {
		return answer{status: http.StatusServiceUnavailable, outcome: NotKept, detail: "the webhook could not be kept; try again", err: err}, event, len(body)
	}
	outcome := Accepted
	if receipt.Duplicate {
		outcome = Duplicate
	}
	return answer{status: http.StatusOK, outcome: outcome, receipt: receipt}, event, len(body)
}

// judge verifies a request and classifies it when it is good. The reason why it
// is not is a class, for the operator; the caller is told only that it is not.
// live says that the request is just coming in, so that its client key, which
// is never stored, can be checked.
func (s *Source) judge(req signature.Request, now time.Time, live bool) (event hook.Event, reason string) {
	if s.Verifier != nil {
		if _, err := s.Verifier.Verify(req, now); err != nil {
			return event, reasonOf(err)
		}
	}
	if live && s.AuthClient != "" && subtle.ConstantTimeCompare([]byte(req.Header.Get(s.AuthClientHeader)), []byte(s.AuthClient.Reveal())) != 1 {
		return event, ReasonAuthClient
	}
	plain := decoded(req.Header, req.Body, s.MaxBody)
	if s.FlowID != "" && s.FlowOf(plain) != s.FlowID {
		return event, ReasonFlow
	}
	return s.Classify(req.Header, plain), ""
}

// Reasons why a request was rejected.
const (
	ReasonMismatch   = "mismatch"
	ReasonMissing    = "missing_header"
	ReasonMalformed  = "malformed_header"
	ReasonTimestamp  = "timestamp"
	ReasonAuthClient = "auth_client"
	ReasonFlow       = "flow_id"
	ReasonAddress    = "address"
)

func reasonOf(err error) string {
	switch {
	case errors.Is(err, signature.ErrMissingHeader):
		return ReasonMissing
	case errors.Is(err, signature.ErrMalformedHeader):
		return ReasonMalformed
	case errors.Is(err, signature.ErrTimestamp):
		return ReasonTimestamp
	}
	return ReasonMismatch
}

// retryAfter is what senders are asked to wait after own trouble, in seconds.
const retryAfter = 5

// write answers. A duplicate gets the same answer as the first.
func (h *Handler) write(w http.ResponseWriter, a *answer) {
	w.Header().Set("Content-Type", "application/json")
	if a.status == http.StatusOK {
		w.WriteHeader(http.StatusOK)
		if a.id == "" { // in quarantine: what it will become is not known
			w.Write([]byte("{}\n"))
			return
		}
		var buf [64]byte
		out := append(buf[:0], `{"id":"`...)
		out = append(out, a.id...)
		w.Write(append(out, "\"}\n"...))
		return
	}
	if a.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	w.WriteHeader(a.status)
	json.NewEncoder(w).Encode(map[string]string{"code": string(a.outcome), "detail": a.detail})
}

// tell writes the one log line of a request.
func (h *Handler) tell(r *http.Request, s *Source, a *answer, eventType string, size int, took time.Duration) {
	name, source := "", (*hook.Source)(nil)
	if s != nil {
		name, source = s.Name, &s.Source
	}
	h.o.Observe(source, a.outcome, took)
	level := slog.LevelInfo
	if a.status >= 500 {
		level = slog.LevelError
	} else if a.status >= 400 {
		level = slog.LevelWarn
	}
	if !h.o.Log.Enabled(r.Context(), level) {
		return
	}
	attrs := make([]slog.Attr, 0, 10)
	attrs = append(attrs, slog.String("source", name), slog.String("outcome", string(a.outcome)), slog.Int("status", a.status),
		slog.Int("size", size), slog.Duration("took", took))
	if a.id != "" {
		attrs = append(attrs, slog.String("message", a.id),
			slog.String("type", eventType), slog.Int("deliveries", a.receipt.Deliveries))
	} else {
		attrs = append(attrs, slog.String("remote", r.RemoteAddr))
	}
	if a.reason != "" {
		attrs = append(attrs, slog.String("reason", a.reason))
	}
	if a.err != nil {
		attrs = append(attrs, slog.Any("error", a.err))
	}
	h.o.Log.LogAttrs(r.Context(), level, "intake", attrs...)
}
