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
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// A POST that carries an idempotency key is done once: the same request again
// gets the first answer, another one under the same key a 409. For messages the
// key is kept in the transaction that keeps the message, so no crash can come
// between; for others, the answer is kept when it was a success, and until then the
// store knows that the request is being done, so that no other node does it too.

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
	if err := a.onlyOnce(w, r, c, &i); err != nil {
		a.fail(w, r, err)
	}
}

// underWay is how long a request waits for an equal one to be answered.
const underWay = 15 * time.Second

var errUnderWay = hook.Errorf(hook.CodeUnavailable, "an equal request with this idempotency key is under way; send it again in a moment")

// onlyOnce does a request unless it was done before; an error is not yet answered.
// Equal requests wait for each other, here in flight and across nodes in the store.
func (a *API) onlyOnce(w http.ResponseWriter, r *http.Request, c *Caller, i *hook.Idempotency) error {
	ctx, cancel := context.WithTimeout(r.Context(), underWay)
	defer cancel()
	leave := a.flight.enter(ctx, i.Hash)
	if leave == nil {
		return errUnderWay
	}
	defer leave()
	known, answered, err := a.Store.BeginRequest(ctx, i)
	switch {
	case err != nil:
		return err
	case !answered:
		rec := a.first(w, r, c, *i)
		w.WriteHeader(rec.status)
		w.Write(rec.body.Bytes())
	case known.Request != i.Request || known.Message != 0:
		return errKeyReused
	default:
		replay(w, known)
	}
	return nil
}

var errKeyReused = hook.Errorf(hook.CodeConflict, "the idempotency key was used with another request; each request needs a key of its own")

// first runs a request and keeps its answer when it was a success; else the key is
// free again, also after a panic.
func (a *API) first(w http.ResponseWriter, r *http.Request, c *Caller, i hook.Idempotency) *recorder {
	rec := &recorder{header: w.Header(), status: http.StatusOK}
	ctx := context.WithoutCancel(r.Context()) // what was done was done, though nobody waits
	kept := false
	defer func() {
		if kept {
			return
		}
		if err := a.Store.DropRequest(ctx, i); err != nil {
			a.Log.WarnContext(ctx, "idempotency key not free yet", "path", r.URL.Path, "error", err)
		}
	}()
	a.mux.ServeHTTP(rec, r)
	if rec.status < 300 {
		err := a.Store.KeepAnswer(ctx, c.Org, i, rec.status, rec.body.Bytes())
		if err != nil {
			a.Log.WarnContext(ctx, "idempotency key not kept", "path", r.URL.Path, "error", err)
		}
		kept = err == nil
	}
	return rec
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
	if c.User != nil {
		fmt.Fprintf(h, "user %d\x00", c.User.ID)
	}
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

// enter waits until nobody else runs under key. Call leave at the end; it is nil when
// ctx ended first.
func (f *flight) enter(ctx context.Context, key hook.Hash) (leave func()) {
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
		select {
		case <-ctx.Done():
			return nil
		case <-other:
		}
	}
}
