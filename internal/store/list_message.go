package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sigpost/sigpost/internal/hook"
)

const (
	// bodiesSearched and bytesSearched bound one call of a list that looks for
	// text: each body is read from the disk.
	bodiesSearched = 64
	bytesSearched  = 4 << 20
	// typesMerged is how many event types are walked beside each other; with
	// more, all messages are walked and their types looked at.
	typesMerged = 32
)

// messageFilter is what lists of all kinds ask of a message.
type messageFilter struct {
	types        []string
	channel, tag string
}

func newMessageFilter(types []string, channel, tag string) messageFilter {
	types = slices.Clone(cleanList(types))
	slices.Sort(types)
	return messageFilter{slices.Compact(types), clean(channel), clean(tag)}
}

func (f *messageFilter) empty() bool { return len(f.types) == 0 && f.channel == "" && f.tag == "" }

// matches decides. What SQL leaves out before is only to save work.
func (f *messageFilter) matches(m *hook.Message) bool {
	return (len(f.types) == 0 || slices.Contains(f.types, m.Type)) &&
		(f.channel == "" || slices.Contains(m.Channels, f.channel)) &&
		(f.tag == "" || slices.Contains(m.Tags, f.tag))
}

// where adds conditions on the row of a message in table t, each after AND.
func (f *messageFilter) where(q *query, t string) {
	if len(f.types) > 0 {
		q.add(" AND "+anyOf(t+".event_type", len(f.types)), anys(f.types)...)
	}
	if plain(f.channel) {
		q.add(" AND instr("+t+".channels, ?) > 0", `"`+f.channel+`"`)
	}
	if plain(f.tag) {
		q.add(" AND instr("+t+".tags, ?) > 0", `"`+f.tag+`"`)
	}
}

// columns are those that where needs.
func (f *messageFilter) columns() (list string) {
	if len(f.types) > 0 {
		list += ", event_type"
	}
	if plain(f.channel) {
		list += ", channels"
	}
	if plain(f.tag) {
		list += ", tags"
	}
	return list
}

// plain says that name stands in JSON as it is, between quotes.
func plain(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-_.:", rune(c)) {
			return false
		}
	}
	return name != ""
}

// ListMessagesOf lists messages of one application in the order of their keys,
// the newest first unless the page asks for ascending order. next is the key
// after which the next page begins, 0 when the end was reached. One call looks at a
// bounded number of rows, so a page may be short, even empty, and still have a
// next. Messages that come meanwhile neither move nor hide others. A message whose
// body was deleted is listed without it, and does not contain any text.
func (s *Store) ListMessagesOf(ctx context.Context, q hook.MessageQuery) (list []hook.Message, next hook.Key, err error) {
	f := newMessageFilter(q.Types, q.Channel, q.Tag)
	err = s.view(ctx, func(tx *sql.Tx) error {
		old, tail, err := bounds(ctx, tx, spanOf(q.Range, q.Page), indexedMessages, sqlOldestMessage)
		if err != nil {
			return err
		}
		w := newWalk(tx, q.Page.Ascending, indexedMessagesOf(q.App, &f, old), newMessagesOf(q.App, &f, tail))
		least := 0
		if q.Text != "" {
			least = bodiesSearched / rounds
		}
		list, next, err = collect(ctx, w, q.Page.Limit, least, messageKey, func(keys []hook.Key) ([]hook.Message, hook.Key, error) {
			found, err := fetchMessages(ctx, tx, keys, q.Bodies && q.Text == "")
			if err != nil {
				return nil, 0, err
			}
			found = slices.DeleteFunc(found, func(m hook.Message) bool { return m.App != q.App || !f.matches(&m) })
			if q.Text == "" {
				return found, 0, nil
			}
			return searchBodies(ctx, tx, found, q.Text, q.Bodies)
		})
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list messages: %w", err)
	}
	return list, next, nil
}

func messageKey(m *hook.Message) hook.Key { return m.ID }

// indexedMessagesOf walks the terms that most likely have the fewest messages – of the
// tag, else of the channel, else of the types, else all – and looks for each of
// their messages under the other terms.
func indexedMessagesOf(app hook.Key, f *messageFilter, of span) leg {
	var families [][]int64
	if f.tag != "" {
		families = append(families, []int64{term(termTag + f.tag)})
	}
	if f.channel != "" {
		families = append(families, []int64{term(termChannel + f.channel)})
	}
	var types []int64
	for _, t := range f.types {
		types = append(types, term(termType+t))
	}
	slices.Sort(types)
	types = slices.Compact(types)
	if len(types) > typesMerged && len(families) == 0 {
		families = append(families, []int64{term(termAll)})
	}
	if len(types) > 0 {
		families = append(families, types)
	}
	if len(families) == 0 {
		families = append(families, []int64{term(termAll)})
	}
	l := leg{span: of, from: fromPostings(app, families[0]...), most: postingsLooked / max(1, len(families)-1)}
	for i, terms := range families[1:] {
		t := fmt.Sprintf("p%d", i)
		l.keep.add(" CROSS JOIN postings "+t+" ON "+t+".owner_id = ? AND "+t+".id = c.id AND "+anyOf(t+".term", len(terms)), app)
		l.keep.args = append(l.keep.args, anys(terms)...)
	}
	return l
}

// newMessagesOf walks the messages that the index does not have yet.
func newMessagesOf(app hook.Key, f *messageFilter, of span) leg {
	l := leg{span: of, most: tailRows, from: []query{{text: "SELECT id, app_id" + f.columns() + " FROM messages WHERE true"}}}
	l.keep.add("WHERE c.app_id = ?", app)
	f.where(&l.keep, "c")
	return l
}

// fetchMessages reads messages in the order of keys. Those that are gone are left out.
func fetchMessages(ctx context.Context, tx *sql.Tx, keys []hook.Key, bodies bool) ([]hook.Message, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	text := sqlMessages
	if bodies {
		text = sqlMessagesWithBodies
	}
	rows, err := tx.QueryContext(ctx, text+anyOf("m.id", len(keys)), anys(keys)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[hook.Key]hook.Message, len(keys))
	for rows.Next() {
		var m hook.Message
		if bodies {
			var body []byte
			var there bool
			if m, err = scanMessage(rows, &there, &body); there {
				m.Body = blob(body)
			}
		} else {
			m, err = scanMessage(rows)
		}
		if err != nil {
			return nil, err
		}
		found[m.ID] = m
	}
	list := make([]hook.Message, 0, len(found))
	for _, k := range keys {
		if m, ok := found[k]; ok {
			list = append(list, m)
		}
	}
	return list, rows.Err()
}

const (
	sqlMessages           = "SELECT " + messageColumns + " FROM " + messageTables + " WHERE "
	sqlMessagesWithBodies = "SELECT " + messageColumns + ", b.message_id IS NOT NULL, b.body FROM " + messageTables +
		" LEFT JOIN bodies b ON b.message_id = m.id WHERE "
)

// searchBodies keeps the messages whose body contains text, exactly as it is.
// It stops after at when the bodies would be too long for one call.
func searchBodies(ctx context.Context, tx *sql.Tx, list []hook.Message, text string, bodies bool) (found []hook.Message, at hook.Key, err error) {
	size := 0
	for i, m := range list {
		if size += m.Size; size > bytesSearched && i > 0 {
			return found, list[i-1].ID, nil
		}
		has := false
		var body []byte
		err := tx.QueryRowContext(ctx, sqlSearchBody, []byte(text), bodies, m.ID).Scan(&has, &body)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, 0, err
		}
		if !has {
			continue
		}
		if bodies {
			m.Body = blob(body)
		}
		found = append(found, m)
	}
	return found, 0, nil
}

const sqlSearchBody = "SELECT instr(body, ?1) > 0, CASE WHEN ?2 <> 0 AND instr(body, ?1) > 0 THEN body END FROM bodies WHERE message_id = ?3"

// ListBySubject lists the messages of an organization that are about one
// subject, without bodies. Pages and next are as in ListMessagesOf.
func (s *Store) ListBySubject(ctx context.Context, org hook.Key, kind, id string, page hook.Page) (list []hook.Message, next hook.Key, err error) {
	subject := hook.Subject{Kind: clean(kind), ID: clean(id)}
	err = s.view(ctx, func(tx *sql.Tx) error {
		old, tail, err := bounds(ctx, tx, spanOf(hook.Range{}, page), indexedMessages, sqlOldestMessage)
		if err != nil {
			return err
		}
		w := newWalk(tx, page.Ascending, subjectLegs(org, subject, old, tail)...)
		list, next, err = collect(ctx, w, page.Limit, 0, messageKey, func(keys []hook.Key) ([]hook.Message, hook.Key, error) {
			found, err := fetchMessages(ctx, tx, keys, false)
			return slices.DeleteFunc(found, func(m hook.Message) bool { return m.Org != org || !slices.Contains(m.Subjects, subject) }), 0, err
		})
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list messages by subject: %w", err)
	}
	return list, next, nil
}

func subjectLegs(org hook.Key, subject hook.Subject, old, tail span) []leg {
	fresh := leg{span: tail, most: tailRows, from: []query{{text: "SELECT id, org_id, subjects FROM messages WHERE true"}}}
	pair := string(appendPair(nil, 0, subject.Kind, subject.ID)) // the very text that was kept
	fresh.keep.add("WHERE c.org_id = ? AND instr(c.subjects, ?) > 0", org, pair)
	return []leg{{span: old, most: postingsLooked, from: fromPostings(org, subjectTerm(subject.Kind, subject.ID))}, fresh}
}

// MessageByEventID finds the message that has the id which its provider or
// producer gave to the event; the newest one when it came more than once. The
// error has hook.CodeNotFound when there is none. It looks at every message that is
// not in the index yet, however many: an answer has no next page.
func (s *Store) MessageByEventID(ctx context.Context, app hook.Key, eventID string) (k hook.Key, err error) {
	eventID = clean(eventID)
	err = s.view(ctx, func(tx *sql.Tx) error {
		mark, err := indexed(ctx, tx, indexedMessages)
		if err != nil {
			return err
		}
		err = tx.QueryRowContext(ctx, sqlNewEvent, mark, app, eventID).Scan(&k)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		return tx.QueryRowContext(ctx, sqlIndexedEvent, app, term(termEvent+eventID), mark, app, eventID).Scan(&k)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return 0, hook.Errorf(hook.CodeNotFound, "there is no message with the event id %q", eventID)
	}
	if err != nil {
		return 0, fmt.Errorf("find message by event id: %w", err)
	}
	return k, nil
}

const (
	sqlNewEvent     = "SELECT id FROM messages WHERE id > ? AND app_id = ? AND event_id = ? ORDER BY id DESC LIMIT 1"
	sqlIndexedEvent = `SELECT p.id FROM postings p CROSS JOIN messages m ON m.id = p.id
		WHERE p.owner_id = ? AND p.term = ? AND p.id <= ? AND m.app_id = ? AND m.event_id = ? ORDER BY p.id DESC LIMIT 1`
)
