package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sigpost/sigpost/internal/hook"
)

// PurgeApplication deletes the messages of a deleted application with all that
// belongs to them, in small steps between other writes, and says how many there
// were. It goes on where it was stopped when it is called again; for an
// application that is still there it is refused with CodeConflict.
func (s *Store) PurgeApplication(ctx context.Context, app hook.Key) (n int, err error) {
	note, err := s.deletedNote(ctx, app)
	if err != nil {
		return 0, fmt.Errorf("purge application: %w", err)
	}
	if err := s.cancelAll(ctx, note.Endpoints); err != nil {
		return 0, fmt.Errorf("purge application: %w", err)
	}
	for cursor, more := hook.Key(0), true; more; more = cursor != 0 {
		if err := ctx.Err(); err != nil {
			return n, fmt.Errorf("purge application: %w", err)
		}
		var messages []fanned
		if messages, cursor, err = s.messagesOf(ctx, app, cursor, scanned); err != nil {
			return n, fmt.Errorf("purge application: %w", err)
		}
		done, err := s.purge(ctx, messages)
		n += done
		if err != nil {
			return n, fmt.Errorf("purge application: %w", err)
		}
	}
	for _, owner := range append(note.Endpoints, app) {
		const q = "DELETE FROM postings WHERE owner_id = ?1 AND (term, id) IN (SELECT term, id FROM postings WHERE owner_id = ?1 LIMIT ?2)"
		if _, err := s.inSteps(ctx, "purge application", q, owner); err != nil {
			return n, err
		}
	}
	if _, err := s.changeState(ctx, "DELETE FROM meta WHERE name = ?", deletedName(app)); err != nil {
		return n, fmt.Errorf("purge application: %w", err)
	}
	return n, nil
}

// deletedNote reads what is left of a deleted application; it is empty when it
// was purged before.
func (s *Store) deletedNote(ctx context.Context, app hook.Key) (note deleted, err error) {
	there, err := exists(ctx, s.read, "SELECT 1 FROM applications WHERE id = ?", app)
	if err != nil {
		return note, err
	}
	if there {
		return note, hook.Errorf(hook.CodeConflict, "application %s is not deleted; delete it first", s.ids.Public(hook.KindApplication, app))
	}
	var raw []byte
	err = s.read.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = ?", deletedName(app)).Scan(&raw)
	if errors.Is(err, sql.ErrNoRows) {
		return note, nil
	}
	if err != nil {
		return note, err
	}
	return note, json.Unmarshal(raw, &note)
}

func (s *Store) purge(ctx context.Context, messages []fanned) (n int, err error) {
	for len(messages) > 0 {
		step := messages[:min(expungeStep, len(messages))]
		messages = messages[len(step):]
		err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
			ordered, err := openOf(ctx, tx, step)
			if err != nil {
				return err
			}
			return s.leaving(ctx, tx, ordered, func() error {
				return s.securely(ctx, tx, func() error { return purgeAll(ctx, tx, step) })
			})
		})
		if err != nil {
			return n, err
		}
		n += len(step)
	}
	return n, nil
}

func purgeAll(ctx context.Context, tx *sql.Conn, messages []fanned) error {
	for _, m := range messages {
		if err := purgeMessage(ctx, tx, m); err != nil {
			return err
		}
	}
	return nil
}

// purgeMessage deletes a message with its body, its deliveries and the chains of
// their attempts. Its dedupe key stays until it leaves the window.
func purgeMessage(ctx context.Context, tx *sql.Conn, m fanned) error {
	const (
		with  = "id > ?1 AND id <= ?2"
		late  = "late = 1 AND message_id = ?1"
		chain = `DELETE FROM attempts WHERE id IN (WITH RECURSIVE chain (id) AS (SELECT last_attempt FROM deliveries WHERE %s AND last_attempt <> 0
			UNION SELECT a.previous FROM attempts a JOIN chain c ON a.id = c.id WHERE a.previous <> 0) SELECT id FROM chain)`
	)
	for _, x := range []struct {
		query string
		args  []any
	}{
		{fmt.Sprintf(chain, with), []any{m.id, m.last()}},
		{fmt.Sprintf(chain, late), []any{m.id}},
		{"DELETE FROM deliveries WHERE " + with, []any{m.id, m.last()}},
		{"DELETE FROM deliveries WHERE " + late, []any{m.id}},
		{"DELETE FROM bodies WHERE message_id = ?", []any{m.id}},
		{"DELETE FROM duplicates WHERE message_id = ?", []any{m.id}},
		{"DELETE FROM messages WHERE id = ?", []any{m.id}},
	} {
		if _, err := tx.ExecContext(ctx, x.query, x.args...); err != nil {
			return err
		}
	}
	return nil
}
