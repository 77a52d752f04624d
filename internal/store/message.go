package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

const messageColumns = `m.id, m.org_id, m.app_id, m.event_type, coalesce(m.event_id, ''), coalesce(m.family, ''), m.subjects, coalesce(m.occurred_at, 0),
	m.rank, m.received_at, m.headers, m.size, m.fanout, coalesce(u.count, 0), coalesce(u.last_at, 0), m.channels, m.tags, coalesce(m.expires_at, 0), m.final`

const messageTables = `messages m LEFT JOIN duplicates u ON u.message_id = m.id`

type scanner interface{ Scan(...any) error }

func scanMessage(row scanner, more ...any) (hook.Message, error) {
	var m hook.Message
	var occurred, received, duplicate, expires int64
	var headers, subjects, channels, tags sql.RawBytes
	into := []any{&m.ID, &m.Org, &m.App, &m.Type, &m.Event.ID, &m.Family, &subjects, &occurred, &m.Rank, &received, &headers, &m.Size, &m.Fanout, &m.Duplicates, &duplicate, &channels, &tags, &expires, &m.Final}
	if err := row.Scan(append(into, more...)...); err != nil {
		return m, err
	}
	m.OccurredAt, m.ReceivedAt, m.LastDuplicateAt, m.ExpiresAt = fromMS(occurred), fromMS(received), fromMS(duplicate), fromMS(expires)
	var err error
	if m.Headers, err = decodeHeaders(headers); err != nil {
		return m, fmt.Errorf("read headers of message %d: %w", m.ID, err)
	}
	if m.Subjects, err = decodeSubjects(subjects); err != nil {
		return m, fmt.Errorf("read subjects of message %d: %w", m.ID, err)
	}
	if m.Channels, err = decodeList(channels); err != nil {
		return m, fmt.Errorf("read channels of message %d: %w", m.ID, err)
	}
	if m.Tags, err = decodeList(tags); err != nil {
		return m, fmt.Errorf("read tags of message %d: %w", m.ID, err)
	}
	return m, nil
}

// Messages reads messages with their bodies. Keys that do not exist are left out.
func (s *Store) Messages(ctx context.Context, keys []hook.Key) (map[hook.Key]*hook.Message, error) {
	found := make(map[hook.Key]*hook.Message, len(keys))
	if len(keys) == 0 {
		return found, nil
	}
	args := make([]any, len(keys))
	for i, k := range keys {
		args[i] = k
	}
	q := "SELECT " + messageColumns + ", b.body FROM " + messageTables + " JOIN bodies b ON b.message_id = m.id WHERE m.id IN " + placeholders(1, len(keys))
	ask := s.read.QueryContext
	if len(keys) == 1 { // each retry asks so
		ask = s.query
	}
	rows, err := ask(ctx, q, args...)
	if err != nil {
		return nil, fmt.Errorf("read messages: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var body []byte
		m, err := scanMessage(rows, &body)
		if err != nil {
			return nil, fmt.Errorf("read messages: %w", err)
		}
		m.Body = body
		found[m.ID] = &m
	}
	return found, rows.Err()
}

// Message reads one message with its body.
func (s *Store) Message(ctx context.Context, k hook.Key) (*hook.Message, error) {
	found, err := s.Messages(ctx, []hook.Key{k})
	if err != nil {
		return nil, err
	}
	if m := found[k]; m != nil {
		return m, nil
	}
	return nil, hook.Errorf(hook.CodeNotFound, "there is no message %s", s.ids.Public(hook.KindMessage, k))
}

// OrgMessage reads a message of an organization, of whichever application, with
// its body, which is nil when it was deleted. CodeNotFound when the organization
// has no message with this key.
func (s *Store) OrgMessage(ctx context.Context, org, id hook.Key) (m hook.Message, err error) {
	var found []hook.Message
	err = s.view(ctx, func(tx *sql.Tx) error {
		found, err = fetchMessages(ctx, tx, []hook.Key{id}, true)
		return err
	})
	if err != nil {
		return m, fmt.Errorf("read message: %w", err)
	}
	if len(found) == 0 || found[0].Org != org {
		return m, s.missing("message", hook.KindMessage, id)
	}
	return found[0], nil
}

// ListMessages lists messages of one organization without bodies, in the order of
// their keys, the newest first unless the page asks for ascending order. It walks
// over the messages of everyone, which needs no index; of one application with
// exact event types ListMessagesOf is quicker. Pages, next and the bounds of a
// call are as there.
func (s *Store) ListMessages(ctx context.Context, f hook.MessageFilter) (list []hook.Message, next hook.Key, err error) {
	l := leg{span: spanOf(f.Range, f.Page), most: tailRows, from: []query{{text: "SELECT id, org_id, app_id, event_type FROM messages WHERE true"}}}
	l.keep.add("WHERE c.org_id = ?", f.Org)
	if f.App != 0 {
		l.keep.add(" AND c.app_id = ?", f.App)
	}
	if len(f.Types) > 0 { // types have no character but * that GLOB knows
		l.keep.add(" AND (c.event_type GLOB ?"+strings.Repeat(" OR c.event_type GLOB ?", len(f.Types)-1)+")", anys(f.Types)...)
	}
	err = s.view(ctx, func(tx *sql.Tx) error {
		w := newWalk(tx, f.Page.Ascending, l)
		list, next, err = collect(ctx, w, f.Page.Limit, 0, messageKey, func(keys []hook.Key) ([]hook.Message, hook.Key, error) {
			found, err := fetchMessages(ctx, tx, keys, false)
			return found, 0, err
		})
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list messages: %w", err)
	}
	return list, next, nil
}

const (
	deliveryColumns = "id, " + deliveryRest
	deliveryRest    = "org_id, message_id, endpoint_id, state, attempts, failures, next_at, since, holder, last_attempt, trigger, lane, superseded, poison"
)

func scanDelivery(row scanner) (d hook.Delivery, err error) {
	var next, since int64
	err = row.Scan(&d.ID, &d.Org, &d.Message, &d.Endpoint, &d.State, &d.Attempts, &d.Failures, &next, &since, &d.Holder, &d.LastAttempt, &d.Trigger, &d.Lane, &d.Superseded, &d.Poison)
	d.NextAt, d.Since = fromMS(next), fromMS(since)
	return d, err
}

// Deliveries reads where a message goes: those made with it, whose keys follow
// its own, and those made later.
func (s *Store) Deliveries(ctx context.Context, m *hook.Message) ([]hook.Delivery, error) {
	const q = "SELECT " + deliveryColumns + " FROM deliveries WHERE id > ? AND id <= ? UNION ALL SELECT " + deliveryColumns + " FROM deliveries WHERE late = 1 AND message_id = ? ORDER BY id"
	rows, err := s.read.QueryContext(ctx, q, m.ID, m.ID+hook.Key(m.Fanout), m.ID)
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	defer rows.Close()
	var list []hook.Delivery
	for rows.Next() {
		d, err := scanDelivery(rows)
		if err != nil {
			return nil, fmt.Errorf("read deliveries: %w", err)
		}
		list = append(list, d)
	}
	return list, rows.Err()
}

// DeliveriesOf is Deliveries of many messages, with a query for each few hundred of them instead of one a message.
func (s *Store) DeliveriesOf(ctx context.Context, messages []hook.Message) (map[hook.Key][]hook.Delivery, error) {
	var made, first []hook.Key
	for i := range messages {
		m := &messages[i]
		first = append(first, m.ID)
		for n := range m.Fanout {
			made = append(made, m.ID+1+hook.Key(n))
		}
	}
	all := make(map[hook.Key][]hook.Delivery, len(messages))
	for _, by := range []struct {
		column, where string
		keys          []hook.Key
	}{{"id", "", made}, {"message_id", " AND late = 1", first}} { // those made later have later keys
		for some := range slices.Chunk(by.keys, postingRows) {
			q := "SELECT " + deliveryColumns + " FROM deliveries WHERE " + anyOf(by.column, len(some)) + by.where + " ORDER BY id"
			list, err := readRows(ctx, s.read, scanDelivery, "deliveries", q, anys(some)...)
			if err != nil {
				return nil, err
			}
			for _, d := range list {
				all[d.Message] = append(all[d.Message], d)
			}
		}
	}
	return all, nil
}

// Attempts reads the attempts of a delivery, the first one first.
func (s *Store) Attempts(ctx context.Context, d *hook.Delivery) ([]hook.Attempt, error) {
	var list []hook.Attempt
	const q = `SELECT id, previous, number, trigger, at, duration, outcome, status, response, coalesce(reason, '') FROM attempts WHERE id = ?`
	for k := d.LastAttempt; k != 0; {
		a := hook.Attempt{Delivery: d.ID, Message: d.Message, Endpoint: d.Endpoint}
		var at, duration int64
		err := s.read.QueryRowContext(ctx, q, k).Scan(&a.ID, &a.Previous, &a.Number, &a.Trigger, &at, &duration, &a.Outcome, &a.Status, &a.Response, &a.Reason)
		if errors.Is(err, sql.ErrNoRows) {
			break // older ones were deleted
		}
		if err != nil {
			return nil, fmt.Errorf("read attempts: %w", err)
		}
		a.At, a.Duration = fromMS(at), time.Duration(duration)*time.Microsecond
		list = append(list, a)
		k = a.Previous
	}
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	return list, nil
}
