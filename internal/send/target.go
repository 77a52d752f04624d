package send

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/signature"
)

// Signer makes the signature headers of one attempt.
type Signer interface {
	Sign(c signature.Content) ([]signature.HeaderField, error)
}

// Target is an endpoint ready to be sent to.
type Target struct {
	client   *Client
	endpoint hook.Endpoint
	url      *url.URL
	signer   Signer
	ids      *hook.IDs
	source   string // name of the source that its messages come from
	names    hook.HeaderNames
	stale    func(ctx context.Context, m *hook.Message) bool
}

// Bounds of an answer: how much is kept, and how much is read so that the
// connection can be used again.
const (
	keptResponse    = 4 << 10
	drainedResponse = 64 << 10
)

// MaxHops is through how many Sigposts one message goes at the most.
const MaxHops = 5

// TargetOptions are what a Target needs besides its endpoint.
type TargetOptions struct {
	Client *Client
	Signer Signer
	IDs    *hook.IDs
	// Source is the name of the source that its messages come from, empty for an
	// application's endpoint.
	Source string
	// Names are those of the headers of Standard Webhooks; empty means webhook-….
	Names hook.HeaderNames
	// Stale says whether a newer state of a message has been accepted; may be nil.
	Stale func(ctx context.Context, m *hook.Message) bool
}

// NewTarget prepares an endpoint.
func NewTarget(e hook.Endpoint, o TargetOptions) (*Target, error) {
	u, err := url.Parse(e.URL)
	if err != nil {
		return nil, fmt.Errorf("parse URL of endpoint %s: %w", e.Label(), err)
	}
	return &Target{client: o.Client, endpoint: e, url: u, signer: o.Signer, ids: o.IDs, source: o.Source, names: o.Names, stale: o.Stale}, nil
}

// Attempt sends m once and says what came of it. The whole exchange is bounded
// by the endpoint's timeout; no more than 64 KiB of the answer are read.
func (t *Target) Attempt(ctx context.Context, m *hook.Message, d *hook.Delivery) *hook.Attempt {
	a := &hook.Attempt{At: time.Now()}
	timeout := t.endpoint.Timeout
	if timeout == 0 {
		timeout = hook.DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	t.exchange(ctx, m, a)
	a.Duration = time.Since(a.At)
	return a
}

func (t *Target) exchange(ctx context.Context, m *hook.Message, a *hook.Attempt) {
	hops := hopsOf(m.Headers) + 1
	if hops > MaxHops {
		a.Outcome, a.Reason = hook.OutcomeLoop, fmt.Sprintf("the message went through %d Sigposts: does an endpoint lead back to a source?", MaxHops)
		return
	}
	req, err := t.request(m, a.At, hops)
	if err != nil {
		a.Outcome, a.Reason = hook.OutcomeProtocol, err.Error()
		return
	}
	if t.stale != nil && t.stale(ctx, m) {
		set(req.Header, "Sigpost-Stale", "true")
	}
	res, kept, err := t.client.exchange(ctx, req, m.Body)
	if res != nil {
		a.Status, a.Response = res.StatusCode, kept
	}
	if err != nil {
		a.Outcome, a.Reason = explain(ctx, err)
		return
	}
	a.Asked = directive(res.Header.Get("Webhook-Delivery"))
	switch {
	case t.endpoint.Succeeded(a.Status):
		a.Outcome = hook.OutcomeDelivered
	case a.Status >= 300 && a.Status < 400:
		a.Outcome, a.Reason = hook.OutcomeRedirect, fmt.Sprintf("answered %d: redirects are not followed, set the endpoint's URL to the final address", a.Status)
	default:
		a.Outcome, a.Reason = hook.OutcomeStatus, "answered "+strconv.Itoa(a.Status)+" "+http.StatusText(a.Status)
	}
	if a.Outcome != hook.OutcomeDelivered {
		a.NotBefore = retryAfter(res.Header.Get("Retry-After"), time.Now())
	}
}

// readResponse reads what is kept of an answer's body, and a little more so
// that the connection can be used again: it can when that was the whole.
func readResponse(body io.Reader) (kept []byte, whole bool, err error) {
	kept, err = io.ReadAll(io.LimitReader(body, keptResponse))
	if err != nil || len(kept) < keptResponse {
		return kept, err == nil, err
	}
	if _, err = io.CopyN(io.Discard, body, drainedResponse); err == io.EOF {
		return kept, true, nil
	}
	return kept, false, err
}

// request builds the signed request of one attempt.
func (t *Target) request(m *hook.Message, now time.Time, hops int) (*http.Request, error) {
	id := t.ids.Public(hook.KindMessage, m.ID)
	h := make(http.Header, len(m.Headers)+12)
	for _, f := range m.Headers { // canonical, as they were received
		h[f.Name] = append(h[f.Name], f.Value)
	}
	for _, f := range t.endpoint.Headers {
		h.Set(f.Name, f.Value)
	}
	set(h, "User-Agent", t.client.userAgent)
	set(h, "Webhook-Id", id)
	set(h, "Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	signed, err := t.signer.Sign(signature.Content{ID: id, Timestamp: now, Method: http.MethodPost, URL: t.endpoint.URL, Body: m.Body})
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	for _, f := range signed {
		h.Set(f.Name, f.Value)
	}
	rename(h, t.names)
	if t.source != "" {
		set(h, "Sigpost-Source", t.source)
	}
	set(h, "Sigpost-Event-Type", m.Type)
	if s := dictionary(m.Subjects); s != "" {
		set(h, "Sigpost-Subject", s)
	}
	set(h, hopsHeader, strconv.Itoa(hops))
	return &http.Request{
		Method: http.MethodPost, URL: t.url, Host: t.url.Host, Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		ContentLength: int64(len(m.Body)),
	}, nil
}

// rename gives the headers of Standard Webhooks the names that receivers of the
// Svix libraries know, beside or instead of their own.
func rename(h http.Header, names hook.HeaderNames) {
	if names != hook.HeadersSvix && names != hook.HeadersBoth {
		return
	}
	for _, part := range [...]struct{ webhook, svix string }{{"Webhook-Id", "Svix-Id"}, {"Webhook-Timestamp", "Svix-Timestamp"}, {"Webhook-Signature", "Svix-Signature"}} {
		if v, ok := h[part.webhook]; ok {
			h[part.svix] = v
			if names == hook.HeadersSvix {
				delete(h, part.webhook)
			}
		}
	}
}

// set puts one value under a name that is canonical already.
func set(h http.Header, name, value string) { h[name] = []string{value} }

// hopsHeader counts the Sigposts that a message went through.
const hopsHeader = "Sigpost-Hops"

func hopsOf(headers []hook.Header) int {
	for _, h := range headers {
		if strings.EqualFold(h.Name, hopsHeader) {
			n, err := strconv.Atoi(h.Value)
			if err != nil || n < 0 {
				return 0 // not one of ours
			}
			return n
		}
	}
	return 0
}

// dictionary writes subjects as a structured dictionary (RFC 9651):
// session="…", end-user="…". Values are percent-encoded where a string of that
// format could not hold them, and "%" always is. Of several subjects of one
// kind the first stands.
func dictionary(subjects []hook.Subject) string {
	var b strings.Builder
	var room [8]string
	seen := room[:0]
	for _, s := range subjects {
		key := dictionaryKey(s.Kind)
		if key == "" || slices.Contains(seen, key) {
			continue
		}
		seen = append(seen, key)
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(key)
		b.WriteString(`="`)
		for i := range len(s.ID) {
			if c := s.ID[i]; c < 0x20 || c > 0x7e || c == '%' || c == '"' || c == '\\' {
				fmt.Fprintf(&b, "%%%02X", c)
			} else {
				b.WriteByte(c)
			}
		}
		b.WriteByte('"')
	}
	return b.String()
}

// dictionaryKey makes a key of a structured dictionary of a kind: lower-case
// letters, digits and "-", beginning with a letter.
func dictionaryKey(kind string) string {
	key := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + ('a' - 'A')
		}
		return '-'
	}, kind)
	return strings.TrimLeft(key, "-0123456789")
}
