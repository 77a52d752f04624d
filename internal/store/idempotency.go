package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// idempotencyTable has answers as well, so its rows stay when their hashes are packed.
var idempotencyTable = hashTable{kind: 2, name: "idempotency", key: "id", window: hook.IdempotencyWindow}

// request is a row of table idempotency.
type request struct {
	id      hook.Key
	asked   hook.Hash
	message hook.Key // 0: its answer is in the row
}

// otherRequest is the error of a key that came with another request before.
func otherRequest() error {
	return hook.Errorf(hook.CodeConflict, "the idempotency key was used with another request within the last %d hours; send the same request again, or use another key", int(hook.IdempotencyWindow/time.Hour))
}

// asked looks a request up among those that are kept and those of the running
// transaction.
func (w *writer) asked(ctx context.Context, hash hook.Hash, now time.Time) (x request, known bool, err error) {
	if x, known := w.freshRequests[hash]; known {
		return x, true, nil
	}
	x.id, known, err = w.requests.find(ctx, w.rows.block, hash, now)
	if err != nil || !known {
		return request{}, false, err
	}
	var asked []byte
	err = w.conn.QueryRowContext(ctx, "SELECT request, message_id FROM idempotency WHERE id = ?", x.id).Scan(&asked, &x.message)
	if errors.Is(err, sql.ErrNoRows) {
		return request{}, false, nil // it left the window just now
	}
	if err != nil {
		return request{}, false, fmt.Errorf("read request: %w", err)
	}
	copy(x.asked[:], asked)
	return x, true, nil
}

// repeats says whether the request of a was made before, and then sets what it
// made. A key that came with another request is an error.
func (w *writer) repeats(ctx context.Context, a *hook.Append, now time.Time) (bool, error) {
	a.Repeated = false
	if a.Idempotency == nil {
		return false, nil
	}
	x, known, err := w.asked(ctx, a.Idempotency.Hash, now)
	if err != nil || !known {
		return false, err
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
	id, known, err := s.writer.requests.find(ctx, s.block, hash, time.Now())
	if err != nil || !known {
		return hook.Answer{}, false, err
	}
	var a hook.Answer
	var asked, kept []byte
	err = s.read.QueryRowContext(ctx, "SELECT request, message_id, status, answer FROM idempotency WHERE id = ?", id).Scan(&asked, &a.Message, &a.Status, &kept)
	if errors.Is(err, sql.ErrNoRows) {
		return hook.Answer{}, false, nil // it left the window just now
	}
	if err != nil {
		return hook.Answer{}, false, fmt.Errorf("read answer: %w", err)
	}
	copy(a.Request[:], asked)
	if a.Message != 0 {
		return hook.Answer{Request: a.Request, Message: a.Message}, true, nil
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
		x, known, err := w.asked(ctx, i.Hash, now)
		if err != nil {
			return err
		}
		if known {
			if x.asked != i.Request || x.message != 0 {
				return otherRequest()
			}
			return nil
		}
		x = request{id: w.key(now, 1), asked: i.Request}
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
