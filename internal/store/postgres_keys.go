package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sigpost/sigpost/internal/hook"
)

// keyBatch are the idempotency keys of a batch of events: the table is the truth,
// for another node may have had the same request.
type keyBatch struct {
	oldest hook.Key // the first row within the window

	n                 []int32 // the unit
	ids, org, message []int64
	hash, request     [][]byte

	fresh     []int32         // units whose key was new
	followers map[int32]int32 // units that repeat one of the same batch, and that one
}

func (b *keyBatch) add(w *writer, n int32, a *hook.Append, now time.Time) {
	i := a.Idempotency
	b.n = append(b.n, n)
	b.ids, b.org, b.message = append(b.ids, int64(w.key(now, 1))), append(b.org, int64(a.Message.Org)), append(b.message, int64(a.Message.ID))
	b.hash, b.request = append(b.hash, i.Hash[:]), append(b.request, i.Request[:])
}

// sqlKeys takes keys in their order, and gives what each stands for: what it is
// taken for now, or was within the window.
const sqlKeys = `INSERT INTO idempotency AS o (id, org_id, hash, request, message_id, status)
	SELECT id, org_id, hash, request, message_id, 0 FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[], $5::bigint[]) AS k (id, org_id, hash, request, message_id)
	ORDER BY hash
	ON CONFLICT (hash) DO UPDATE SET (id, org_id, request, message_id, status, answer) =
		(SELECT excluded.id, excluded.org_id, excluded.request, excluded.message_id, excluded.status, excluded.answer WHERE o.id < $6
		UNION ALL SELECT o.id, o.org_id, o.request, o.message_id, o.status, o.answer WHERE o.id >= $6)
	RETURNING id, hash, request, message_id`

// standing is what a key stands for after it was taken.
type standing struct {
	id, message int64
	request     []byte
}

// queueKeys adds the statement that takes the keys, each of them once.
func (b *eventBatch) queueKeys(pipe *pgx.Batch) {
	k := &b.keys
	var take keyBatch
	taken := map[hook.Hash]standing{}
	for i := range k.n {
		if _, again := taken[hook.Hash(k.hash[i])]; again {
			continue
		}
		taken[hook.Hash(k.hash[i])] = standing{}
		take.ids, take.org, take.message = append(take.ids, k.ids[i]), append(take.org, k.org[i]), append(take.message, k.message[i])
		take.hash, take.request = append(take.hash, k.hash[i]), append(take.request, k.request[i])
	}
	pipe.Queue(sqlKeys, take.ids, take.org, take.hash, take.request, take.message, int64(k.oldest)).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var x standing
			var hash []byte
			if err := rows.Scan(&x.id, &hash, &x.request, &x.message); err != nil {
				return err
			}
			taken[hook.Hash(hash)] = x
		}
		b.readKeys(taken)
		return rows.Err()
	})
}

// readKeys says of each unit with a key whether it is the one that took it,
// repeats what the key stands for, or asks for something else.
func (b *eventBatch) readKeys(taken map[hook.Hash]standing) {
	k := &b.keys
	k.followers = map[int32]int32{}
	first := map[int64]int32{} // row to the unit that made it
	for i, n := range k.n {
		x := taken[hook.Hash(k.hash[i])]
		if x.id == k.ids[i] {
			k.fresh = append(k.fresh, n)
			first[x.id] = n
			continue
		}
		b.units[n].repeats(x.request, hook.Key(x.message))
		if maker, here := first[x.id]; here && b.units[n].err == nil {
			k.followers[n] = maker
		}
	}
}

// repeats says of a unit whose key is known that it repeats what made a message,
// or fails it.
func (u *write) repeats(request []byte, message hook.Key) {
	a := u.append
	if !bytes.Equal(request, a.Idempotency.Request[:]) || message == 0 {
		u.err, a.Message.ID = otherRequest(), 0
		return
	}
	a.Repeated, a.Message.ID = true, message
}

// sharedAnswer is Idempotent on PostgreSQL.
func (s *Store) sharedAnswer(ctx context.Context, hash hook.Hash) (hook.Answer, bool, error) {
	var a hook.Answer
	var request, kept []byte
	const q = "SELECT request, message_id, status, answer FROM idempotency WHERE hash = ? AND id >= ?"
	err := s.read.QueryRowContext(ctx, q, hash[:], hook.KeyAt(s.keyTime(time.Now()).Add(-hook.IdempotencyWindow))).Scan(&request, &a.Message, &a.Status, &kept)
	if errors.Is(err, sql.ErrNoRows) {
		return hook.Answer{}, false, nil
	}
	if err != nil {
		return hook.Answer{}, false, fmt.Errorf("read answer: %w", err)
	}
	if len(request) != len(a.Request) {
		return hook.Answer{}, false, fmt.Errorf("read answer: the hash of the request has %d bytes", len(request))
	}
	a.Request = hook.Hash(request)
	if a.Message != 0 {
		a.Status = 0
		return a, true, nil
	}
	if a.Body, err = s.openBlob(kept, answerContext); err != nil {
		return hook.Answer{}, false, fmt.Errorf("read answer: %w", err)
	}
	return a, true, nil
}

// keepSharedAnswer is KeepAnswer on PostgreSQL; answer is sealed.
func (s *Store) keepSharedAnswer(ctx context.Context, org hook.Key, i hook.Idempotency, status int, answer []byte) error {
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		now := time.Now()
		const q = `INSERT INTO idempotency AS o (id, org_id, hash, request, message_id, status, answer) VALUES (?, ?, ?, ?, 0, ?, ?)
			ON CONFLICT (hash) DO UPDATE SET id = excluded.id, org_id = excluded.org_id, request = excluded.request, message_id = 0,
				status = excluded.status, answer = excluded.answer WHERE o.id < ?`
		res, err := tx.ExecContext(ctx, q, s.writer.key(now, 1), org, i.Hash[:], i.Request[:], status, answer, hook.KeyAt(s.keyTime(now).Add(-hook.IdempotencyWindow)))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 1 {
			return err
		}
		var request []byte
		var message hook.Key
		if err := tx.QueryRowContext(ctx, "SELECT request, message_id FROM idempotency WHERE hash = ?", i.Hash[:]).Scan(&request, &message); err != nil {
			return err
		}
		if !bytes.Equal(request, i.Request[:]) || message != 0 {
			return otherRequest()
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep answer: %w", err)
	}
	return nil
}
