package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

const eventTypeColumns = "org_id, name, description, archived, deprecated, schemas, coalesce(group_name, ''), feature_flags, created_at, updated_at"

func scanEventType(row scanner) (hook.EventType, error) {
	var t hook.EventType
	var schemas, flags []byte
	var created, updated int64
	err := row.Scan(&t.Org, &t.Name, &t.Description, &t.Archived, &t.Deprecated, &schemas, &t.GroupName, &flags, &created, &updated)
	if err != nil {
		return t, err
	}
	t.Schemas, t.CreatedAt, t.UpdatedAt = schemas, fromMS(created), fromMS(updated)
	if t.FeatureFlags, err = decodeList(flags); err != nil {
		return t, fmt.Errorf("read feature flags of event type %s: %w", t.Name, err)
	}
	return t, nil
}

// EventType reads an event type, archived or not; CodeNotFound when the
// organization has none of this name.
func (s *Store) EventType(ctx context.Context, org hook.Key, name string) (hook.EventType, error) {
	return eventType(ctx, s.read, org, name, "")
}

// eventType reads an event type with or without forUpdate.
func eventType(ctx context.Context, db querier, org hook.Key, name, lock string) (hook.EventType, error) {
	row := db.QueryRowContext(ctx, "SELECT "+eventTypeColumns+" FROM event_types WHERE org_id = ? AND name = ?"+lock, org, name)
	return readRow(row, scanEventType, "event type", hook.Errorf(hook.CodeNotFound, "there is no event type %q", name))
}

// EventTypes reads up to limit event types by name, those behind after in the
// direction of the list; the empty name is its beginning. Archived ones are among
// them only when asked for.
func (s *Store) EventTypes(ctx context.Context, org hook.Key, after string, ascending bool, limit int, archived bool) ([]hook.EventType, error) {
	q, args := "SELECT "+eventTypeColumns+" FROM event_types WHERE org_id = ?", []any{org}
	if !archived {
		q += " AND archived = 0"
	}
	order := " ORDER BY name DESC LIMIT ?"
	switch {
	case ascending:
		order = " ORDER BY name LIMIT ?"
		q, args = q+" AND name > ?", append(args, after)
	case after != "":
		q, args = q+" AND name < ?", append(args, after)
	}
	return readRows(ctx, s.read, scanEventType, "event types", q+order, append(args, limit)...)
}

// CreateEventType keeps an event type and gives it back with its times. An
// archived one of this name comes back as t says; one that is not archived is
// CodeConflict.
func (s *Store) CreateEventType(ctx context.Context, t hook.EventType) (hook.EventType, error) {
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if _, err := s.organization(ctx, tx, t.Org, ""); err != nil {
			return err
		}
		old, err := eventType(ctx, tx, t.Org, t.Name, forUpdate)
		known := err == nil
		if known && !old.Archived {
			return hook.Errorf(hook.CodeConflict, "there is an event type %q already; update it, or choose another name", t.Name)
		}
		if !known && hook.CodeOf(err) != hook.CodeNotFound {
			return err
		}
		t, err = keepEventType(ctx, tx, t, old)
		return err
	})
	if err != nil {
		return hook.EventType{}, fmt.Errorf("create event type: %w", err)
	}
	return t, nil
}

// PutEventType makes an event type what t says, and says whether it is new. When t was
// read – it has a time of change – and was changed or made since, the error has CodeStale.
func (s *Store) PutEventType(ctx context.Context, t hook.EventType) (made bool, err error) {
	err = s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if _, err := s.organization(ctx, tx, t.Org, ""); err != nil {
			return err
		}
		old, err := eventType(ctx, tx, t.Org, t.Name, forUpdate)
		if made = hook.CodeOf(err) == hook.CodeNotFound; err != nil && !made {
			return err
		}
		if !t.UpdatedAt.IsZero() {
			if err := notStale("event type", old.UpdatedAt, t.UpdatedAt); err != nil {
				return err
			}
		}
		_, err = keepEventType(ctx, tx, t, old)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("put event type: %w", err)
	}
	return made, nil
}

// UpdateEventType makes an event type what t says; CodeNotFound when there is none,
// CodeStale when it was changed since t was read.
func (s *Store) UpdateEventType(ctx context.Context, t hook.EventType) (hook.EventType, error) {
	var made hook.EventType
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		old, err := eventType(ctx, tx, t.Org, t.Name, forUpdate)
		if err != nil {
			return err
		}
		if err := notStale("event type", old.UpdatedAt, t.UpdatedAt); err != nil {
			return err
		}
		made, err = keepEventType(ctx, tx, t, old)
		return err
	})
	if err != nil {
		return hook.EventType{}, fmt.Errorf("update event type: %w", err)
	}
	return made, nil
}

// keepEventType writes an event type over the old one of its name, which is zero when
// there is none.
func keepEventType(ctx context.Context, tx *sql.Conn, t, old hook.EventType) (hook.EventType, error) {
	t.UpdatedAt = changedAt(old.UpdatedAt)
	if t.CreatedAt = old.CreatedAt; t.CreatedAt.IsZero() {
		t.CreatedAt = t.UpdatedAt
	}
	const q = `INSERT INTO event_types (org_id, name, description, archived, deprecated, schemas, group_name, feature_flags, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (org_id, name) DO UPDATE SET description = excluded.description, archived = excluded.archived,
		deprecated = excluded.deprecated, schemas = excluded.schemas, group_name = excluded.group_name, feature_flags = excluded.feature_flags,
		updated_at = excluded.updated_at`
	return t, one(tx.ExecContext(ctx, q, t.Org, t.Name, t.Description, t.Archived, t.Deprecated, text(string(t.Schemas)), text(t.GroupName),
		text(encodeList(t.FeatureFlags)), ms(t.CreatedAt), ms(t.UpdatedAt)))
}

// DeleteEventType archives an event type, or deletes it for good when expunge is
// set. CodeNotFound when the organization has none of this name.
func (s *Store) DeleteEventType(ctx context.Context, org hook.Key, name string, expunge bool) error {
	now := ms(time.Now())
	q, args := "UPDATE event_types SET archived = 1, "+sqlTouch+" WHERE org_id = ? AND name = ?", []any{now, now, org, name}
	if expunge {
		q, args = "DELETE FROM event_types WHERE org_id = ? AND name = ?", args[2:]
	}
	n, err := s.changeState(ctx, q, args...)
	if err != nil {
		return fmt.Errorf("delete event type: %w", err)
	}
	if n == 0 {
		return hook.Errorf(hook.CodeNotFound, "there is no event type %q", name)
	}
	return nil
}
