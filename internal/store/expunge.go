package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/sigpost/sigpost/internal/hook"
)

// expunged stands in the place of a response that was deleted.
const expunged = "EXPUNGED"

// expungeStep bounds one transaction of those that expunge many messages.
const expungeStep = 100

// MessageInfo reads a message of an application without its body, and says
// whether the body is still there. CodeNotFound when the application has no
// message with this key.
func (s *Store) MessageInfo(ctx context.Context, app, id hook.Key) (m hook.Message, hasBody bool, err error) {
	const q = "SELECT " + messageColumns + ", b.message_id IS NOT NULL FROM " + messageTables + " LEFT JOIN bodies b ON b.message_id = m.id WHERE m.id = ? AND m.app_id = ?"
	rows, err := s.read.QueryContext(ctx, q, id, app) // a Row cannot give raw bytes
	if err != nil {
		return m, false, fmt.Errorf("read message: %w", err)
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return m, false, fmt.Errorf("read message: %w", err)
		}
		return m, false, s.missing("message", hook.KindMessage, id)
	}
	if m, err = scanMessage(rows, &hasBody); err != nil {
		return m, false, fmt.Errorf("read message: %w", err)
	}
	return m, hasBody, nil
}

// securely runs f while SQLite overwrites what it deletes: what is expunged must
// not stay readable in the free pages of the file.
// PostgreSQL has no such way: there the old rows are gone when it has vacuumed.
func (s *Store) securely(ctx context.Context, tx *sql.Conn, f func() error) error {
	if s.pg != nil {
		return f()
	}
	if _, err := tx.ExecContext(ctx, "PRAGMA secure_delete = ON"); err != nil {
		return err
	}
	err := f()
	_, off := tx.ExecContext(ctx, "PRAGMA secure_delete = OFF")
	return errors.Join(err, off)
}

// ExpungeBody deletes the payload of a message of an application and cancels what
// is still to be delivered of it; the rest of the message stays. Doing it again
// changes nothing. CodeNotFound when the application has no such message.
func (s *Store) ExpungeBody(ctx context.Context, app, message hook.Key) error {
	gone, err := s.ExpungeBodies(ctx, app, []hook.Key{message})
	if err == nil && !gone[message] {
		err = s.missing("message", hook.KindMessage, message)
	}
	return err
}

// ExpungeBodies does what ExpungeBody does for many messages, in small steps.
// gone has those that are messages of the application; their payloads are gone.
func (s *Store) ExpungeBodies(ctx context.Context, app hook.Key, keys []hook.Key) (gone map[hook.Key]bool, err error) {
	gone = make(map[hook.Key]bool, len(keys))
	for len(keys) > 0 {
		step := keys[:min(expungeStep, len(keys))]
		keys = keys[len(step):]
		var found []fanned
		err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
			args := []any{app}
			for _, k := range step {
				args = append(args, k)
			}
			var err error
			found, err = readRows(ctx, tx, scanFanned, "messages", "SELECT id, fanout FROM messages WHERE app_id = ? AND id IN "+placeholders(1, len(step)), args...)
			if err != nil {
				return err
			}
			return s.securely(ctx, tx, func() error {
				_, err := s.expunge(ctx, tx, found)
				return err
			})
		})
		if err != nil {
			return gone, fmt.Errorf("expunge messages: %w", err)
		}
		for _, m := range found {
			gone[m.id] = true
		}
	}
	return gone, nil
}

// fanned is where a message and its deliveries are.
type fanned struct {
	id     hook.Key
	fanout int
}

// last is the key of the last delivery that was made with the message.
func (m *fanned) last() hook.Key { return m.id + hook.Key(m.fanout) }

func scanFanned(row scanner) (m fanned, err error) {
	err = row.Scan(&m.id, &m.fanout)
	return m, err
}

// expunge deletes bodies and cancels deliveries. It says how many bodies there were. The head
// of a lane that is being sent is over only when that has ended: the next may not be
// sent beside it.
func (s *Store) expunge(ctx context.Context, tx *sql.Conn, messages []fanned) (bodies int, err error) {
	ordered, err := openOf(ctx, tx, messages)
	if err != nil {
		return 0, err
	}
	err = s.leaving(ctx, tx, ordered, func() error {
		held, args := s.held()
		cancel := "UPDATE deliveries SET state = 4, holder = 0 WHERE %s AND state IN (1, 5, 6) AND NOT (lane <> 0 AND state = 1 AND " + held + ")"
		for _, m := range messages {
			res, err := tx.ExecContext(ctx, "DELETE FROM bodies WHERE message_id = ?", m.id)
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			if err != nil {
				return err
			}
			bodies += int(n)
			if _, err := tx.ExecContext(ctx, fmt.Sprintf(cancel, "id > ? AND id <= ?"), append([]any{m.id, m.last()}, args...)...); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, fmt.Sprintf(cancel, "late = 1 AND message_id = ?"), append([]any{m.id}, args...)...); err != nil {
				return err
			}
		}
		return nil
	})
	return bodies, err
}

// openOf are the deliveries of messages that are in lanes and not over.
func openOf(ctx context.Context, tx *sql.Conn, messages []fanned) (ordered []laned, err error) {
	for _, m := range messages {
		list, err := stillOpen(ctx, tx, "id > ?1 AND id <= ?2 UNION ALL "+sqlStillOpen+"late = 1 AND message_id = ?1", m.id, m.last())
		if err != nil {
			return nil, err
		}
		ordered = append(ordered, list...)
	}
	return ordered, nil
}

// PurgeBodies does what ExpungeBody does for an application's messages behind
// cursor, one step of at most limit rows, 5,000 at the most, read. It says how
// many payloads it deleted and where to go on; next is 0 at the end.
func (s *Store) PurgeBodies(ctx context.Context, app, cursor hook.Key, limit int) (n int, next hook.Key, err error) {
	messages, next, err := s.messagesOf(ctx, app, cursor, limit)
	if err != nil {
		return 0, 0, err
	}
	for len(messages) > 0 {
		step := messages[:min(expungeStep, len(messages))]
		messages = messages[len(step):]
		bodies := 0
		err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
			return s.securely(ctx, tx, func() (err error) {
				bodies, err = s.expunge(ctx, tx, step)
				return err
			})
		})
		if err != nil {
			return n, cursor, fmt.Errorf("purge payloads: %w", err)
		}
		n += bodies
	}
	return n, next, nil
}

// scanned bounds how many messages of all applications one step reads.
const scanned = 5000

// messagesOf finds an application's messages among the next limit rows behind
// cursor. All are younger than the application itself. next is 0 at the end.
func (s *Store) messagesOf(ctx context.Context, app, cursor hook.Key, limit int) (found []fanned, next hook.Key, err error) {
	limit = min(max(limit, 1), scanned)
	rows, err := s.read.QueryContext(ctx, "SELECT id, fanout, app_id = ? FROM messages WHERE id > ? ORDER BY id LIMIT ?", app, max(cursor, app), limit)
	if err != nil {
		return nil, 0, fmt.Errorf("read messages: %w", err)
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var m fanned
		var own bool
		if err := rows.Scan(&m.id, &m.fanout, &own); err != nil {
			return nil, 0, fmt.Errorf("read messages: %w", err)
		}
		if own {
			found = append(found, m)
		}
		next = m.id
	}
	if err := rows.Err(); err != nil {
		return nil, 0, fmt.Errorf("read messages: %w", err)
	}
	if n < limit {
		next = 0
	}
	return found, next, nil
}

// ExpungeResponse puts the text EXPUNGED in the place of an attempt's response.
func (s *Store) ExpungeResponse(ctx context.Context, attempt hook.Key) error {
	var n int64
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		return s.securely(ctx, tx, func() error {
			res, err := tx.ExecContext(ctx, "UPDATE attempts SET response = ? WHERE id = ?", []byte(expunged), attempt)
			if err != nil {
				return err
			}
			n, err = res.RowsAffected()
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("expunge response: %w", err)
	}
	if n == 0 {
		return s.missing("attempt", hook.KindAttempt, attempt)
	}
	return nil
}
