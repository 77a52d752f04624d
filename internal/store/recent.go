package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// recentStates is how many states are in memory: more than may wait for the index (see
// indexLag), so that what is not in the one is in the other.
const recentStates = 1 << 17

// recent is the memory of the states that this process kept last: of each application,
// primary subject and family the newest. What is sent a moment after it was kept is
// compared with these, and needs no look into the store. On PostgreSQL, where others keep
// states, too, it has besides what was found there when a state was kept. The writer
// adds, and whoever sends reads.
type recent struct {
	seed maphash.Seed
	size int

	mu     sync.RWMutex
	newest map[uint64]hook.Moment
	ring   []recentState // those that were added last, from at on the oldest first
	at     int
	// since is the key after which every state is here.
	since hook.Key
	// stale says of messages that were compared when they were kept whether there was a
	// newer one.
	stale map[hook.Key]bool
}

type recentState struct {
	of uint64
	id hook.Key
}

func newRecent(since hook.Key, size int) *recent {
	return &recent{size: size, seed: maphash.MakeSeed(), newest: map[uint64]hook.Moment{}, stale: map[hook.Key]bool{}, since: since}
}

// stateful says that a message is a state, which a newer one can replace.
func stateful(m *hook.Message) bool { return m.Family != "" && len(m.Subjects) > 0 }

// of is a number for what a message is a state of.
func (r *recent) of(m *hook.Message) uint64 {
	var h maphash.Hash
	h.SetSeed(r.seed)
	var app [8]byte
	binary.LittleEndian.PutUint64(app[:], uint64(m.App))
	h.Write(app[:])
	for _, part := range [...]string{m.Subjects[0].Kind, m.Subjects[0].ID, m.Family} {
		h.WriteString(part)
		h.WriteByte(0)
	}
	return h.Sum64()
}

func (r *recent) add(m *hook.Message) {
	if !stateful(m) {
		return
	}
	of, now := r.of(m), m.Moment()
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.newest[of]; !ok || known.Before(now) {
		r.newest[of] = now
	}
	if len(r.ring) < r.size {
		r.ring = append(r.ring, recentState{of, m.ID})
		return
	}
	old := &r.ring[r.at]
	if r.newest[old.of].Accepted == int64(old.id) {
		delete(r.newest, old.of)
	}
	delete(r.stale, old.id)
	r.since, *old = old.id, recentState{of, m.ID}
	r.at = (r.at + 1) % r.size
}

// newer says whether a newer state than m is here, and whether that is all there is to
// know. It is when nothing that was kept before can be newer: m happened after that,
// or m came in after that and there is nothing but acceptance to go by. (A state that a
// provider with a clock that is ahead sent before is taken to be older.)
func (r *recent) newer(m *hook.Message) (newer, known bool) {
	of := r.of(m)
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.has(of, m) {
		return true, true
	}
	if m.OccurredAt.IsZero() {
		return false, m.Rank == 0 && m.ID > r.since
	}
	return false, m.OccurredAt.After(r.since.Time())
}

// has says that a newer state than m is here.
func (r *recent) has(of uint64, m *hook.Message) bool {
	n, ok := r.newest[of]
	return ok && n.Accepted != int64(m.ID) && m.Moment().Before(n)
}

// compared notes whether there was a newer state than m when it was kept.
func (r *recent) compared(m *hook.Message, stale bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stale[m.ID] = stale
}

// newerShared is newer where other nodes keep states as well: what is known is what was
// found when m was kept, for a moment after that.
func (r *recent) newerShared(m *hook.Message, now time.Time) (newer, known bool) {
	of := r.of(m)
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.has(of, m) {
		return true, true
	}
	stale, known := r.stale[m.ID]
	return stale, known && now.Sub(m.ID.Time()) < trusted
}

// loadRecent reads what the index does not have yet, once at the start.
func loadRecent(ctx context.Context, db *sql.DB, indexed hook.Key) (*recent, error) {
	rows, err := db.QueryContext(ctx, "SELECT id, app_id, family, subjects, coalesce(occurred_at, 0), rank FROM messages WHERE id > ? AND family IS NOT NULL ORDER BY id", indexed)
	if err != nil {
		return nil, fmt.Errorf("read newest states: %w", err)
	}
	defer rows.Close()
	r := newRecent(indexed, recentStates)
	var subjects sql.RawBytes
	for rows.Next() {
		var m hook.Message
		var occurred int64
		if err := rows.Scan(&m.ID, &m.App, &m.Family, &subjects, &occurred, &m.Rank); err != nil {
			return nil, fmt.Errorf("read newest states: %w", err)
		}
		if m.Subjects, err = decodeSubjects(subjects); err != nil {
			return nil, fmt.Errorf("read newest states: message %d: %w", m.ID, err)
		}
		m.OccurredAt = fromMS(occurred)
		r.add(&m)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read newest states: %w", err)
	}
	return r, nil
}

// begin is the key after which every state is here.
func (r *recent) begin() hook.Key {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.since
}
