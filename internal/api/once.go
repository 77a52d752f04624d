package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/sigpost/sigpost/internal/hook"
)

// A POST that carries an idempotency key is done once: the same request again
// gets the first answer, another one under the same key a 409. For messages the
// key is kept in the transaction that keeps the message, so no crash can come
// between; for others, the answer is kept when it was a success.

const (
	longestKey  = 256
	importLimit = 8 << 20 // of the operations that take whole documents
)

type idempotencyKey struct{}

// idempotency is the key of a request that creates a message.
func idempotency(ctx context.Context) *hook.Idempotency {
	i, _ := ctx.Value(idempotencyKey{}).(*hook.Idempotency)
	return i
}

// once runs a request, or answers as it was answered before.
func (a *API) once(w http.ResponseWriter, r *http.Request, c *Caller, key string) {
	if len(key) > longestKey {
		a.fail(w, r, invalid("is longer than 256 characters", "header", "idempotency-key"))
		return
	}
	limit := int64(bodyLimit)
	if strings.Contains(r.URL.Path, "/import") {
		limit = importLimit
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		a.fail(w, r, bodyFault(err))
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	i := hook.Idempotency{Hash: keyHash(c, key), Request: requestHash(r, body)}
	if createsMessage(r.URL.Path) {
		a.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), idempotencyKey{}, &i)))
		return
	}
	leave := a.flight.enter(i.Hash)
	defer leave()
	known, found, err := a.Store.Idempotent(r.Context(), i.Hash)
	switch {
	case err != nil:
		a.fail(w, r, err)
	case found && (known.Request != i.Request || known.Message != 0):
		a.fail(w, r, errKeyReused)
	case found:
		replay(w, known)
	default:
		a.first(w, r, c, i)
	}
}

var errKeyReused = hook.Errorf(hook.CodeConflict, "the idempotency key was used with another request; each request needs a key of its own")

// first runs a request and keeps its answer when it was a success.
func (a *API) first(w http.ResponseWriter, r *http.Request, c *Caller, i hook.Idempotency) {
	rec := &recorder{header: w.Header(), status: http.StatusOK}
	a.mux.ServeHTTP(rec, r)
	if rec.status < 300 {
		if err := a.Store.KeepAnswer(r.Context(), c.Org, i, rec.status, rec.body.Bytes()); err != nil {
			a.Log.WarnContext(r.Context(), "idempotency key not kept", "path", r.URL.Path, "error", err)
		}
	}
	w.WriteHeader(rec.status)
	w.Write(rec.body.Bytes())
}

func replay(w http.ResponseWriter, known hook.Answer) {
	if len(known.Body) > 0 {
		w.Header().Set("Content-Type", "application/json")
	}
	w.Header().Set("Idempotency-Replayed", "true")
	w.WriteHeader(known.Status)
	w.Write(known.Body)
}

// createsMessage says whether a path is that of /app/{app_id}/msg.
func createsMessage(path string) bool {
	rest, ok := strings.CutPrefix(path, "/api/v1/app/")
	_, tail, _ := strings.Cut(rest, "/")
	return ok && tail == "msg"
}

// keyHash binds a key to who uses it: an answer is replayed to no other token,
// which may not be allowed to have it.
func keyHash(c *Caller, key string) hook.Hash {
	var buf [24]byte
	binary.BigEndian.PutUint64(buf[:8], uint64(c.Org))
	binary.BigEndian.PutUint64(buf[8:16], uint64(c.App))
	binary.BigEndian.PutUint64(buf[16:], uint64(c.Token))
	h := sha256.New()
	h.Write(buf[:])
	fmt.Fprintf(h, "%s %v %q\x00", c.Scope, c.Portal.ReadOnly, c.Portal.Capabilities)
	io.WriteString(h, key)
	return hook.Hash(h.Sum(nil)[:16])
}

func requestHash(r *http.Request, body []byte) hook.Hash {
	h := sha256.New()
	io.WriteString(h, r.URL.Path+"\x00"+r.URL.RawQuery+"\x00")
	h.Write(body)
	return hook.Hash(h.Sum(nil)[:16])
}

func bodyFault(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return hook.Errorf(hook.CodeTooLarge, "the request is too large: a payload has at most 1 MiB")
	}
	return newFault(http.StatusBadRequest, "the body could not be read: "+err.Error())
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// flight lets one request at a time run under a key.
type flight struct {
	mu    sync.Mutex
	under map[hook.Hash]chan struct{}
}

// enter waits until nobody else runs under key. Call leave at the end.
func (f *flight) enter(key hook.Hash) (leave func()) {
	for {
		f.mu.Lock()
		other, busy := f.under[key]
		if !busy {
			if f.under == nil {
				f.under = map[hook.Hash]chan struct{}{}
			}
			mine := make(chan struct{})
			f.under[key] = mine
			f.mu.Unlock()
			return func() {
				f.mu.Lock()
				delete(f.under, key)
				f.mu.Unlock()
				close(mine)
			}
		}
		f.mu.Unlock()
		<-other
	}
}
