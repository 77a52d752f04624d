package store

import (
	"bytes"
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
