package intake

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/signature"
)

const (
	// rejectQueue bounds rejected requests waiting to be kept; more are dropped.
	rejectQueue = 64
	// keptBody is how much of a rejected body is kept.
	keptBody = 64 << 10
	// rejectRate is how many rejected requests of one source are kept a second.
	rejectRate = 10
)

// sampler lets rejectRate requests a second through.
type sampler struct {
	mu     sync.Mutex
	second int64
	count  int
}

func (s *sampler) take(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Unix() != s.second {
		s.second, s.count = now.Unix(), 0
	}
	s.count++
	return s.count <= rejectRate
}

// reject answers a request that did not verify. A source in quarantine keeps it
// before it answers 200; others keep it when there is time.
func (h *Handler) reject(r *http.Request, s *Source, body []byte, reason string, now time.Time) answer {
	if s.Quarantine {
		rej := h.rejected(r, s, reason, now)
		rej.Body, rej.Size, rej.Quarantined = body, len(body), true
		return h.quarantine(r.Context(), rej)
	}
	if s.sampler.take(now) {
		rej := h.rejected(r, s, reason, now)
		rej.Body, rej.Size = slices.Clone(body[:min(len(body), keptBody)]), len(body) // the rest must not wait in memory
		h.note(rej)
	}
	return answer{status: http.StatusUnauthorized, outcome: BadSignature, detail: "invalid signature", reason: reason}
}

// turnAway answers a request from an address that may not send to its source. It is kept so that whoever forgot
// an address sees what is missing, but its body is not even read.
func (h *Handler) turnAway(r *http.Request, s *Source, now time.Time) answer {
	if s.sampler.take(now) {
		rej := h.rejected(r, s, ReasonAddress, now)
		rej.Size = int(max(r.ContentLength, 0))
		h.note(rej)
	}
	return answer{status: http.StatusForbidden, outcome: BadAddress, detail: "this address may not send to this source", reason: ReasonAddress}
}

// rejected is a request without its body, as it is kept.
func (h *Handler) rejected(r *http.Request, s *Source, reason string, now time.Time) *hook.Rejected {
	return &hook.Rejected{
		Org: s.Org, Source: s.ID, Reason: reason, ReceivedAt: now.Truncate(time.Millisecond), Remote: h.Remote(r).String(),
		Method: r.Method, URL: r.URL.RequestURI(), Headers: s.headers.kept(r.Header),
	}
}

// note has a rejected request kept when there is time: the answer does not wait.
func (h *Handler) note(rej *hook.Rejected) {
	select {
	case h.rejects <- rej:
	default:
	}
}

func (h *Handler) quarantine(ctx context.Context, rej *hook.Rejected) answer {
	err := h.o.Store.Reject(context.WithoutCancel(ctx), rej)
	switch {
	case err == nil:
		return answer{status: http.StatusOK, outcome: Quarantined, reason: rej.Reason}
	case hook.CodeOf(err) == hook.CodeTooLarge:
		return answer{status: http.StatusServiceUnavailable, outcome: QuarantineFull, detail: "try again later", reason: rej.Reason, err: err}
	}
	return answer{status: http.StatusServiceUnavailable, outcome: NotKept, detail: "the webhook could not be kept; try again", reason: rej.Reason, err: err}
}

// Run keeps rejected requests until ctx ends.
func (h *Handler) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case r := <-h.rejects:
			if err := h.o.Store.Reject(ctx, r); err != nil && !errors.Is(err, context.Canceled) {
				h.o.Log.Warn("rejected request not kept", "error", err)
			}
		}
	}
}

// request makes the request again that r was.
func (s *Source) request(r *hook.Rejected) signature.Request {
	h := http.Header{}
	for _, f := range r.Headers {
		h.Add(f.Name, f.Value)
	}
	return signature.Request{Method: r.Method, URL: s.Base + r.URL, Header: h, Body: r.Body}
}

// Explain says why a rejected request did not verify, against the secrets that
// its source has now.
func (h *Handler) Explain(r *hook.Rejected) (signature.Explanation, error) {
	s := h.sourceByKey(r.Source)
	if s == nil {
		return signature.Explanation{}, hook.Errorf(hook.CodeNotFound, "the source of this request is not in the configuration at hand; when the server is stopped, give it with --config")
	}
	if r.Reason == ReasonAddress {
		return s.explainAddress(r), nil
	}
	if s.Explain == nil {
		return signature.Explanation{Valid: true}, nil
	}
	return s.Explain(s.request(r), r.ReceivedAt), nil
}

// explainAddress says why a request was turned away: by the list as it is now.
func (s *Source) explainAddress(r *hook.Rejected) signature.Explanation {
	f := signature.Finding{
		Code: ReasonAddress, Message: r.Remote + " is not among the addresses that may send to this source",
		Fix: "if it is the provider's, add it to the source's allowed addresses (allow_ips), and have the webhook sent again; if it is a proxy of your own, name that in trusted_proxies",
	}
	if at, err := netip.ParseAddr(r.Remote); err == nil && allowed(s.AllowIPs, at) {
		f.Message, f.Fix = r.Remote+" was not among the addresses that may send to this source, and is now", "have the webhook sent again: its body was not read"
	}
	return signature.Explanation{Findings: []signature.Finding{f}}
}

// Readmit verifies a rejected request again, at the time when it came, and
// lets it in when it is good now: after a secret was mended. A client key is not
// asked for again, because it was not stored; the signature decides.
func (h *Handler) Readmit(ctx context.Context, r *hook.Rejected) (hook.Receipt, error) {
	s := h.sourceByKey(r.Source)
	switch {
	case s == nil:
		return hook.Receipt{}, hook.Errorf(hook.CodeNotFound, "the source of this request is not in the configuration at hand; when the server is stopped, give it with --config")
	case r.Accepted != 0:
		return hook.Receipt{Message: r.Accepted, Duplicate: true}, nil
	case r.Reason == ReasonAddress:
		return hook.Receipt{}, hook.Errorf(hook.CodeInvalid, "it came from an address that may not send to its source, so its body was not read; ask the provider to send it again")
	case !r.Whole():
		return hook.Receipt{}, hook.Errorf(hook.CodeInvalid, "only the first %d of its %d bytes were kept, so it cannot be verified; ask the provider to send it again", len(r.Body), r.Size)
	}
	req := s.request(r)
	event, reason := s.judge(req, r.ReceivedAt, false)
	if reason != "" {
		return hook.Receipt{}, hook.Errorf(hook.CodeInvalid, "it still does not verify (%s); mend the source's secrets first", reason)
	}
	receipt, err := h.o.Pipeline.Accept(ctx, hook.Incoming{
		Org: s.Org, App: s.App, Event: event, ReceivedAt: time.Now(),
		Headers: s.headers.forward(req.Header), Body: r.Body, Redeliver: s.Redeliver,
	})
	if err != nil {
		return hook.Receipt{}, err
	}
	return receipt, h.o.Store.MarkAccepted(ctx, r.ID, receipt.Message)
}
