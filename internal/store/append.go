package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Append keeps a, its deliveries and its dedupe key in one transaction and
// returns when they are on disk. After an error nothing of it was kept. Equal
// hashes within [hook.DedupeWindow] make one message, however many come at once,
// and so do equal requests with an idempotency key within [hook.IdempotencyWindow].
// An idempotency key that came with another request is CodeConflict.
func (s *Store) Append(ctx context.Context, a *hook.Append) error {
	m := &a.Message
	cleanMessage(m)
	u := &write{append: a, headers: encodeHeaders(m.Headers), subjects: encodeSubjects(m.Subjects), channels: encodeList(m.Channels), tags: encodeList(m.Tags)}
	const perRow = 64
	u.size = len(m.Body) + len(u.headers) + len(u.subjects) + len(u.channels) + len(u.tags) + perRow*len(a.Deliveries)
	err := s.writer.do(ctx, u)
	if a.Repeated || a.Duplicate && !a.Redeliver {
		a.Deliveries = nil
	}
	return err
}

func (w *writer) appendAll(ctx context.Context, batch []*write) error {
	r := &w.rows
	r.messageArgs, r.bodyArgs, r.dedupeArgs, r.requestArgs, r.deliveryArgs = r.messageArgs[:0], r.bodyArgs[:0], r.dedupeArgs[:0], r.requestArgs[:0], r.deliveryArgs[:0]
	now := time.Now()
	for _, u := range batch {
		if u.append == nil {
			continue
		}
		repeated, err := w.repeats(ctx, u.append, now)
		if refused(err) {
			u.err = err // it wrote nothing, and is nobody else's trouble
			continue
		}
		if err != nil {
			return err
		}
		if repeated {
			continue
		}
		if err := w.gather(ctx, u, now); err != nil {
			return err
		}
	}
	if err := r.messages.insert(ctx, r.messageArgs); err != nil {
		return err
	}
	if err := r.bodies.insert(ctx, r.bodyArgs); err != nil {
		return err
	}
	if err := r.dedupe.insert(ctx, r.dedupeArgs); err != nil {
		return err
	}
	if err := r.requests.insert(ctx, r.requestArgs); err != nil {
		return err
	}
	return r.deliveries.insert(ctx, r.deliveryArgs)
}

// gather gives u its keys and adds its rows to the arguments of the batch. Keys
// are given here, by the one goroutine that commits, so that the order of keys
// is the order in which messages become visible.
func (w *writer) gather(ctx context.Context, u *write, now time.Time) error {
	a, m := u.append, &u.append.Message
	first, known, err := w.known(ctx, a.Hash, now)
	if err != nil {
		return err
	}
	a.Duplicate = known
	if known {
		w.gatherRequest(a, first, now)
		return w.gatherDuplicate(ctx, a, first, now)
	}
	m.ID = w.key(now, 1+len(a.Deliveries))
	m.Fanout = len(a.Deliveries)
	m.Size = len(m.Body)
	w.gatherRequest(a, m.ID, now)
	r := &w.rows
	r.messageArgs = append(r.messageArgs, int64(m.ID), int64(m.Org), int64(m.App), m.Type, text(m.Event.ID), text(m.Family), text(u.subjects),
		number(ms(m.OccurredAt)), m.Rank, ms(m.ReceivedAt), u.headers, m.Size, m.Fanout, text(u.channels), text(u.tags), number(ms(m.ExpiresAt)), m.Final)
	r.bodyArgs = append(r.bodyArgs, int64(m.ID), int64(m.Org), blob(m.Body))
	if a.Hash != (hook.Hash{}) {
		w.fresh[a.Hash] = m.ID
		r.dedupeArgs = append(r.dedupeArgs, int64(m.ID), int64(m.Org), a.Hash[:])
	}
	for i := range a.Deliveries {
		a.Deliveries[i].ID, a.Deliveries[i].Trigger = m.ID+1+hook.Key(i), hook.Scheduled
		w.gatherDelivery(&a.Deliveries[i], m, 0)
	}
	return nil
}

// known is the message that was first with this hash. The zero hash is that of
// messages which are each an event of its own.
func (w *writer) known(ctx context.Context, hash hook.Hash, now time.Time) (hook.Key, bool, error) {
	if hash == (hook.Hash{}) {
		return 0, false, nil
	}
	if first, ok := w.fresh[hash]; ok {
		return first, true, nil
	}
	return w.seen.find(ctx, w.rows.block, hash, now)
}

func (w *writer) gatherDuplicate(ctx context.Context, a *hook.Append, first hook.Key, now time.Time) error {
	a.Message.ID = first
	if _, err := w.rows.duplicate.ExecContext(ctx, int64(first), int64(a.Message.Org), ms(a.Message.ReceivedAt)); err != nil {
		return err
	}
	if !a.Redeliver { // not made, and left as they are: the batch may be tried again
		return nil
	}
	for i := range a.Deliveries {
		a.Deliveries[i].ID = w.key(now, 1)
		a.Deliveries[i].Trigger = hook.Duplicate
		w.gatherDelivery(&a.Deliveries[i], &a.Message, 1)
	}
	return nil
}

func (w *writer) gatherDelivery(d *hook.Delivery, m *hook.Message, late int) {
	d.Message = m.ID
	if d.Lane != 0 {
		w.lanes.arrive(d, m)
	}
	w.rows.deliveryArgs = append(w.rows.deliveryArgs, int64(d.ID), int64(d.Org), int64(m.ID), int64(d.Endpoint), int(d.State), d.Attempts, d.Failures,
		ms(d.NextAt), ms(d.Since), int64(d.Holder), int64(d.LastAttempt), int(d.Trigger), late, d.Lane)
}

// encodeHeaders writes headers as [[name,value],…]: in the order received, and
// half as long as objects.
func encodeHeaders(headers []hook.Header) string {
	var buf [512]byte
	out := append(buf[:0], '[')
	for i, h := range headers {
		out = appendPair(out, i, h.Name, h.Value)
	}
	return string(append(out, ']'))
}

func decodeHeaders(raw []byte) ([]hook.Header, error) {
	var pairs [][2]string
	if err := json.Unmarshal(raw, &pairs); err != nil {
		return nil, err
	}
	headers := make([]hook.Header, len(pairs))
	for i, p := range pairs {
		headers[i] = hook.Header{Name: p[0], Value: p[1]}
	}
	return headers, nil
}

func encodeSubjects(subjects []hook.Subject) string {
	if len(subjects) == 0 {
		return ""
	}
	var buf [512]byte
	out := append(buf[:0], '[')
	for i, s := range subjects {
		out = appendPair(out, i, s.Kind, s.ID)
	}
	return string(append(out, ']'))
}

// appendPair adds the i-th ["a","b"] of a list.
func appendPair(out []byte, i int, a, b string) []byte {
	if i > 0 {
		out = append(out, ',')
	}
	out = appendString(append(out, '['), a)
	out = appendString(append(out, ','), b)
	return append(out, ']')
}

// appendString adds s as JSON. What is not plain ASCII is left to the library.
func appendString(out []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // strings always marshal
			return append(out, quoted...)
		}
	}
	out = append(out, '"')
	out = append(out, s...)
	return append(out, '"')
}

func decodeSubjects(raw []byte) ([]hook.Subject, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var pairs [][2]string
	if err := json.Unmarshal(raw, &pairs); err != nil {
		return nil, err
	}
	subjects := make([]hook.Subject, len(pairs))
	for i, p := range pairs {
		subjects[i] = hook.Subject{Kind: p[0], ID: p[1]}
	}
	return subjects, nil
}

// text is s, or null when it is empty.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// number is n, or null when it is 0.
func number(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

// blob is b, never null: an empty body is a body.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
