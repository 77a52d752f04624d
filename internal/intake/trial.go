package intake

import (
	"bytes"
	"io"
	"net/http"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/signature"
)

// Trial is what became of a test event.
type Trial struct {
	Receipt hook.Receipt
	// Reason is why it was rejected; empty when it was not. Why says it in words.
	Reason string
	Why    signature.Explanation
}

// nowhere is where an answer goes that nobody reads.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) WriteHeader(int)             {}

// Try takes a request in as if the provider of a source had sent it: read, verified, classified,
// kept and answered in the one way there is, but for the address that it comes from. What
// it becomes is marked as a test.
func (h *Handler) Try(r *http.Request, body []byte, source hook.Key) (Trial, error) {
	s := h.sourceByKey(source)
	if s == nil {
		return Trial{}, hook.Errorf(hook.CodeConflict, "the source takes nothing: it is disabled, or the server is stopped")
	}
	start := time.Now()
	r.Body = io.NopCloser(bytes.NewReader(body))
	a, event, size := h.receive(nowhere{}, r, s, start, hook.Header{Name: hook.TestHeader, Value: "true"})
	h.tell(r, s, &a, event.Type, size, time.Since(start))
	if a.err != nil {
		return Trial{}, a.err
	}
	t := Trial{Receipt: a.receipt, Reason: a.reason}
	if t.Reason == "" && a.status != http.StatusOK {
		return t, hook.Errorf(hook.CodeConflict, "the test event was not taken: %s", a.detail)
	}
	if t.Reason != "" && s.Explain != nil {
		t.Why = s.Explain(signature.Request{Method: r.Method, URL: s.Base + r.URL.RequestURI(), Header: r.Header, Body: body}, start)
	}
	return t, nil
}
