package signature

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// MiddlewareOptions change what Middleware does. The zero value is good.
type MiddlewareOptions struct {
	// MaxBody is the longest body taken, in bytes; 0 means 1 MiB.
	MaxBody int64
	// Reject answers a request that is not valid. err is one of Verify, an
	// *http.MaxBytesError, or an error of reading the body. Nil answers 401
	// "invalid signature", 413 or 400, and nothing else.
	Reject func(w http.ResponseWriter, r *http.Request, err error)
	// URL is a request's URL as its sender knows it; only schemes with {url}
	// need it. Nil means path and query, which is all that a server sees.
	URL func(r *http.Request) string
}

const defaultMaxBody = 1 << 20

// Middleware lets only requests through that verify. It reads the body, whole
// and bounded, checks it, and gives the next handler the same bytes to read
// again; ResultFrom tells that handler which secret matched.
func (v *Verifier) Middleware(o MiddlewareOptions) func(http.Handler) http.Handler {
	if o.MaxBody == 0 {
		o.MaxBody = defaultMaxBody
	}
	if o.Reject == nil {
		o.Reject = reject
	}
	if o.URL == nil {
		o.URL = func(r *http.Request) string { return r.URL.RequestURI() }
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, o.MaxBody))
			if err != nil {
				o.Reject(w, r, err)
				return
			}
			result, err := v.Verify(Request{Method: r.Method, URL: o.URL(r), Header: r.Header, Body: body}, time.Now())
			if err != nil {
				o.Reject(w, r, err)
				return
			}
			r = r.WithContext(context.WithValue(r.Context(), resultKey{}, result))
			r.Body = io.NopCloser(bytes.NewReader(body))
			r.ContentLength, r.TransferEncoding = int64(len(body)), nil
			next.ServeHTTP(w, r)
		})
	}
}

type resultKey struct{}

// ResultFrom is what Middleware found of the request with this context; false
// when it did not come through one.
func ResultFrom(ctx context.Context) (Result, bool) {
	r, ok := ctx.Value(resultKey{}).(Result)
	return r, ok
}

// reject tells the sender nothing that helps to forge a signature.
func reject(w http.ResponseWriter, _ *http.Request, err error) {
	_, large := errors.AsType[*http.MaxBytesError](err)
	switch {
	case large:
		http.Error(w, "body too large", http.StatusRequestEntityTooLarge)
	case errors.Is(err, ErrMissingHeader), errors.Is(err, ErrMalformedHeader), errors.Is(err, ErrMismatch), errors.Is(err, ErrTimestamp):
		http.Error(w, "invalid signature", http.StatusUnauthorized)
	default:
		http.Error(w, "unreadable body", http.StatusBadRequest)
	}
}
