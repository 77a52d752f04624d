package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// requests is the memory of idempotency keys within their window, kept an hour
// at a time, so that forgetting is dropping a map. The rows of table idempotency
// are the truth; this is all of them, without the answers. The writer adds, and
// whoever wants to know an answer reads.
type requests struct {
	mu    sync.RWMutex
	hours []hour // oldest first
}

type hour struct {
	number int64 // hours since hook.Epoch
	known  map[hook.Hash]request
}

// request is a row of table idempotency.
type request struct {
	id      hook.Key
	asked   hook.Hash
	message hook.Key // 0: its answer is in the row
}

func hourOf(k hook.Key) int64 { return int64(k.Time().Sub(hook.Epoch) / time.Hour) }

// find is the request that came with this key, if it is still in the window at
// now. It is exact: the same instant after a restart gives the same answer.
func (r *requests) find(hash hook.Hash, now time.Time) (request, bool) {
	oldest := hook.KeyAt(now.Add(-hook.IdempotencyWindow))
	r.mu.RLock()
	defer r.mu.RUnlock()
	for i := len(r.hours) - 1; i >= 0; i-- {
		if x, ok := r.hours[i].known[hash]; ok && x.id >= oldest {
			return x, true
		}
	}
	return request{}, false
}

func (r *requests) add(hash hook.Hash, x request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	number := hourOf(x.id)
	for i := len(r.hours) - 1; i >= 0; i-- {
		if r.hours[i].number == number {
			r.hours[i].known[hash] = x
			return
		}
	}
	r.hours = append(r.hours, hour{number, map[hook.Hash]request{hash: x}})
	gone := number - int64(hook.IdempotencyWindow/time.Hour) - 1
	for len(r.hours) > 0 && r.hours[0].number <= gone {
		r.hours = r.hours[1:]
	}
}

// loadRequests reads the window once, at the start.
func loadRequests(ctx context.Context, db *sql.DB, now time.Time) (*requests, error) {
	rows, err := db.QueryContext(ctx, "SELECT id, hash, request, message_id FROM idempotency WHERE id >= ? ORDER BY id", hook.KeyAt(now.Add(-hook.IdempotencyWindow)))
	if err != nil {
		return nil, fmt.Errorf("read idempotency keys: %w", err)
	}
	defer rows.Close()
	r := &requests{}
	var x request
	var hash, asked sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&x.id, &hash, &asked, &x.message); err != nil {
			return nil, fmt.Errorf("read idempotency keys: %w", err)
		}
		if len(hash) != len(hook.Hash{}) || len(asked) != len(hook.Hash{}) {
			return nil, fmt.Errorf("read idempotency keys: row %d has hashes of %d and %d bytes", x.id, len(hash), len(asked))
		}
		x.asked = hook.Hash(asked)
		r.add(hook.Hash(hash), x)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read idempotency keys: %w", err)
	}
	return r, nil
}

// otherRequest is the error of a key that came with another request before.
func otherRequest() error {
	return hook.Errorf(hook.CodeConflict, "the idempotency key was used with another request within the last %d hours; send the same request again, or use another key", int(hook.IdempotencyWindow/time.Hour))
}

// asked looks a request up among those that are kept and those of the running
// transaction.
func (w *writer) asked(hash hook.Hash, now time.Time) (request, bool) {
	if x, ok := w.freshRequests[hash]; ok {
		return x, true
	}
	return w.requests.find(hash, now)
}

// repeats says whether the request of a was made before, and then sets what it
// made. A key that came with another request is an error.
func (w *writer) repeats(a *hook.Append, now time.Time) (bool, error) {
	a.Repeated = false
	if a.Idempotency == nil {
		return false, nil
	}
	x, known := w.asked(a.Idempotency.Hash, now)
	if !known {
		return false, nil
	}
	if x.asked != a.Idempotency.Request || x.message == 0 {
		return false, otherRequest()
	}
	a.Repeated, a.Duplicate, a.Message.ID = true, false, x.message
	return true, nil
}

// gatherRequest adds the row of a request that made a message, if it has a key.
func (w *writer) gatherRequest(a *hook.Append, message hook.Key, now time.Time) {
	i := a.Idempotency
	if i == nil {
		return
	}
	x := request{id: w.key(now, 1), asked: i.Request, message: message}
	w.freshRequests[i.Hash] = x
	w.rows.requestArgs = append(w.rows.requestArgs, int64(x.id), int64(a.Message.Org), i.Hash[:], i.Request[:], int64(message), 0)
}

// Idempotent is what was answered to the request that came with an idempotency
// key, by the hash of the key, and whether there was one within the window. Of a
// request that made a message, it has the message only.
func (s *Store) Idempotent(ctx context.Context, hash hook.Hash) (hook.Answer, bool, error) {
	if s.pg != nil {
		return s.sharedAnswer(ctx, s.read, hash)
	}
	x, known := s.writer.requests.find(hash, time.Now())
	if !known {
		return hook.Answer{}, false, nil
	}
	a := hook.Answer{Request: x.asked, Message: x.message}
	if x.message != 0 {
		return a, true, nil
	}
	var kept []byte
	err := s.read.QueryRowContext(ctx, "SELECT status, answer FROM idempotency WHERE id = ?", x.id).Scan(&a.Status, &kept)
	if errors.Is(err, sql.ErrNoRows) {
		return hook.Answer{}, false, nil // it left the window just now
	}
	if err != nil {
		return hook.Answer{}, false, fmt.Errorf("read answer: %w", err)
	}
	if a.Body, err = s.openBlob(kept, answerContext); err != nil {
		return hook.Answer{}, false, fmt.Errorf("read answer: %w", err)
	}
	return a, true, nil
}

// BeginRequest lets a request with an idempotency key be done that makes no message,
// and sets i.Try: until its answer is kept or it is dropped, no other node begins
// it. Of a request that was done it gives the answer instead. While another node
// has it, it waits; when ctx ends first the error has CodeUnavailable. One process
// must ask for a key once at a time.
func (s *Store) BeginRequest(ctx context.Context, i *hook.Idempotency) (known hook.Answer, answered bool, err error) {
	if s.pg != nil {
		return s.beginShared(ctx, i)
	}
	return s.Idempotent(ctx, i.Hash)
}

// DropRequest ends a request that was begun and has no answer to keep: the next
// one with its key is done. When that fails it is done a moment later.
func (s *Store) DropRequest(ctx context.Context, i hook.Idempotency) error {
	if i.Try == 0 {
		return nil
	}
	return s.dropShared(ctx, i.Hash, i.Try)
}

// KeepAnswer keeps what was answered to a request that came with an idempotency
// key and made no message. The first answer to a request stays; a key that came
// with another request is CodeConflict.
func (s *Store) KeepAnswer(ctx context.Context, org hook.Key, i hook.Idempotency, status int, body []byte) error {
	answer, err := s.sealBlob(body, answerContext)
	if err != nil {
		return fmt.Errorf("keep answer: %w", err)
	}
	w := s.writer
	if s.pg != nil {
		return s.keepSharedAnswer(ctx, org, i, status, answer)
	}
	err = w.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		now := time.Now()
		if x, known := w.asked(i.Hash, now); known {
			if x.asked != i.Request || x.message != 0 {
				return otherRequest()
			}
			return nil
		}
		x := request{id: w.key(now, 1), asked: i.Request}
		const q = "INSERT INTO idempotency (id, org_id, hash, request, message_id, status, answer) VALUES (?, ?, ?, ?, 0, ?, ?)"
		if err := one(tx.ExecContext(ctx, q, x.id, org, i.Hash[:], i.Request[:], status, answer)); err != nil {
			return err
		}
		w.freshRequests[i.Hash] = x
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep answer: %w", err)
	}
	return nil
}

// ForgetIdempotency deletes idempotency keys that left the window before now, in
// small steps between other writes. It says how many it deleted.
func (s *Store) ForgetIdempotency(ctx context.Context, now time.Time) (int64, error) {
	if s.pg != nil { // of nodes that died, whose keys never came again
		const q = "DELETE FROM requests WHERE hash IN (SELECT hash FROM requests WHERE id < ? LIMIT ?)"
		if _, err := s.inSteps(ctx, "forget requests", q, hook.KeyAt(s.keyTime(now).Add(-hook.IdempotencyWindow))); err != nil {
			return 0, err
		}
	}
	const q = `DELETE FROM idempotency WHERE id IN (SELECT id FROM idempotency WHERE id < ? ORDER BY id LIMIT ?)`
	return s.inSteps(ctx, "forget idempotency keys", q, hook.KeyAt(s.keyTime(now).Add(-hook.IdempotencyWindow)))
}
