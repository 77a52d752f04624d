package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

const appColumns = "id, org_id, coalesce(uid, ''), name, throttle, metadata, hidden, created_at, updated_at"

func scanApp(row scanner) (hook.Application, error) {
	var a hook.Application
	var metadata []byte
	var created, updated int64
	err := row.Scan(&a.ID, &a.Org, &a.UID, &a.Name, &a.Throttle, &metadata, &a.Kind, &created, &updated)
	if err != nil {
		return a, err
	}
	a.CreatedAt, a.UpdatedAt = fromMS(created), fromMS(updated)
	a.Metadata, err = decodeMap(metadata)
	return a, err
}

// Application reads an application of any kind; CodeNotFound when the
// organization has none with this key.
func (s *Store) Application(ctx context.Context, org, id hook.Key) (hook.Application, error) {
	return s.application(ctx, s.read, org, id, "")
}

// application reads an application with or without forUpdate.
func (s *Store) application(ctx context.Context, db querier, org, id hook.Key, lock string) (hook.Application, error) {
	row := db.QueryRowContext(ctx, "SELECT "+appColumns+" FROM applications WHERE id = ? AND org_id = ?"+lock, id, org)
	return readRow(row, scanApp, "application", s.missing("application", hook.KindApplication, id))
}

// ApplicationByUID reads the application to which its owner gave this uid.
func (s *Store) ApplicationByUID(ctx context.Context, org hook.Key, uid string) (hook.Application, error) {
	row := s.read.QueryRowContext(ctx, "SELECT "+appColumns+" FROM applications WHERE org_id = ? AND uid = ?", org, uid)
	return readRow(row, scanApp, "application", hook.Errorf(hook.CodeNotFound, "there is no application with the uid %q", uid))
}

// Applications reads one page of an organization's applications of one kind.
func (s *Store) Applications(ctx context.Context, org hook.Key, page hook.Page, f hook.AppFilter) ([]hook.Application, error) {
	q := "SELECT " + appColumns + " FROM applications WHERE org_id = ? AND hidden = ?"
	if f.WithEndpoints {
		q += " AND EXISTS (SELECT 1 FROM endpoints e WHERE e.app_id = applications.id)"
	}
	if f.WithEnabledEndpoints {
		q += " AND EXISTS (SELECT 1 FROM endpoints e WHERE e.app_id = applications.id AND e.state = 0)"
	}
	q, args := onPage(q, page, org, int(f.Kind))
	return readRows(ctx, s.read, scanApp, "applications", q, args...)
}

// CreateApplication keeps an application and gives it back with its key and
// times; CodeConflict when the uid is taken.
func (s *Store) CreateApplication(ctx context.Context, a hook.Application) (hook.Application, error) {
	made := a
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) (err error) {
		if _, err := s.organization(ctx, tx, a.Org, ""); err != nil {
			return err
		}
		if err := uidFree(ctx, tx, "applications", "org_id", a.Org, a.UID, 0); err != nil {
			return err
		}
		made, err = s.addApp(ctx, tx, a, time.Now())
		return err
	})
	if err != nil {
		return hook.Application{}, fmt.Errorf("create application: %w", err)
	}
	return made, nil
}

func (s *Store) addApp(ctx context.Context, tx *sql.Conn, a hook.Application, now time.Time) (hook.Application, error) {
	metadata, err := encodeMap(a.Metadata)
	if err != nil {
		return a, err
	}
	a.ID, a.CreatedAt, a.UpdatedAt = s.writer.key(now, 1), inMS(now), inMS(now)
	const q = "INSERT INTO applications (id, org_id, uid, name, throttle, metadata, hidden, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
	return a, one(tx.ExecContext(ctx, q, a.ID, a.Org, text(a.UID), a.Name, a.Throttle, metadata, int(a.Kind), ms(now), ms(now)))
}

// UpdateApplication makes the application a.ID of a.Org what a says; its kind and
// creation stay. CodeStale when it was changed since a was read.
func (s *Store) UpdateApplication(ctx context.Context, a hook.Application) (hook.Application, error) {
	metadata, err := encodeMap(a.Metadata)
	if err != nil {
		return a, fmt.Errorf("update application: %w", err)
	}
	var made hook.Application
	err = s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		old, err := s.application(ctx, tx, a.Org, a.ID, forUpdate)
		if err != nil {
			return err
		}
		if err := notStale("application", old.UpdatedAt, a.UpdatedAt); err != nil {
			return err
		}
		if err := uidFree(ctx, tx, "applications", "org_id", a.Org, a.UID, a.ID); err != nil {
			return err
		}
		made = a
		made.Kind, made.CreatedAt, made.UpdatedAt = old.Kind, old.CreatedAt, changedAt(old.UpdatedAt)
		const q = "UPDATE applications SET uid = ?, name = ?, throttle = ?, metadata = ?, updated_at = ? WHERE id = ?"
		return one(tx.ExecContext(ctx, q, text(a.UID), a.Name, a.Throttle, metadata, ms(made.UpdatedAt), a.ID))
	})
	if err != nil {
		return hook.Application{}, fmt.Errorf("update application: %w", err)
	}
	return made, nil
}

// OperationalApp is the application of an organization's operational webhooks,
// made on the first use.
func (s *Store) OperationalApp(ctx context.Context, org hook.Key) (hook.Application, error) {
	a, err := s.operationalApp(ctx, s.read, org)
	if hook.CodeOf(err) != hook.CodeNotFound {
		return a, err
	}
	err = s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if _, err := s.organization(ctx, tx, org, ""); err != nil {
			return err
		}
		a, err = s.operationalApp(ctx, tx, org) // it may have been made meanwhile
		if hook.CodeOf(err) == hook.CodeNotFound {
			a, err = s.addApp(ctx, tx, hook.Application{Org: org, Name: "operational webhooks", Kind: hook.AppOperational}, time.Now())
		}
		return err
	})
	if err != nil {
		return hook.Application{}, fmt.Errorf("make operational application: %w", err)
	}
	return a, nil
}

func (s *Store) operationalApp(ctx context.Context, db querier, org hook.Key) (hook.Application, error) {
	row := db.QueryRowContext(ctx, "SELECT "+appColumns+" FROM applications WHERE org_id = ? AND hidden = ? ORDER BY id LIMIT 1", org, int(hook.AppOperational))
	return readRow(row, scanApp, "application", s.missing("operational application of organization", hook.KindOrganization, org))
}

// DeleteApplication deletes an application with its endpoints, their secrets and
// its tokens at once; what its endpoints still had to get is canceled after
// that, in small steps. Its messages are left to PurgeApplication. That of a
// source is refused with CodeConflict.
func (s *Store) DeleteApplication(ctx context.Context, org, id hook.Key, now time.Time) error {
	var endpoints []hook.Key
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		a, err := s.application(ctx, tx, org, id, forUpdate)
		if err != nil {
			return err
		}
		if a.Kind == hook.AppOfSource {
			return hook.Errorf(hook.CodeConflict, "application %s belongs to a source; delete the source", s.ids.Public(hook.KindApplication, id))
		}
		endpoints, err = s.removeApp(ctx, tx, id, now)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete application: %w", err)
	}
	return s.cancelAll(ctx, endpoints)
}

func (s *Store) cancelAll(ctx context.Context, endpoints []hook.Key) error {
	for _, k := range endpoints {
		if _, err := s.cancelFor(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

// deleted is the note in meta that an application is gone and its messages are not.
type deleted struct {
	At        int64      `json:"at"`
	Endpoints []hook.Key `json:"endpoints"`
}

// deletedPrefix begins the names of these notes; the key of the application follows.
const deletedPrefix = "deleted_application:"

// removeApp deletes an application and what hangs on it, except its messages,
// and notes that these are to be purged. It gives the keys of its endpoints.
func (s *Store) removeApp(ctx context.Context, tx *sql.Conn, id hook.Key, now time.Time) ([]hook.Key, error) {
	endpoints, err := queryKeys(ctx, tx, "SELECT id FROM endpoints WHERE app_id = ? ORDER BY id", id)
	if err != nil {
		return nil, err
	}
	note, err := json.Marshal(deleted{ms(now), endpoints})
	if err != nil {
		return nil, err
	}
	for _, q := range []string{
		"DELETE FROM secrets WHERE owner_id IN (SELECT id FROM endpoints WHERE app_id = ?)",
		"DELETE FROM health WHERE endpoint_id IN (SELECT id FROM endpoints WHERE app_id = ?)",
		"DELETE FROM endpoints WHERE app_id = ?",
		"DELETE FROM tokens WHERE app_id = ?1 AND org_id = (SELECT org_id FROM applications WHERE id = ?1)",
	} {
		if _, err := tx.ExecContext(ctx, q, id); err != nil {
			return nil, err
		}
	}
	if err := one(tx.ExecContext(ctx, "DELETE FROM applications WHERE id = ?", id)); err != nil {
		return nil, err
	}
	const q = "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
	return endpoints, one(tx.ExecContext(ctx, q, deletedName(id), note))
}

func deletedName(app hook.Key) string { return fmt.Sprintf("%s%d", deletedPrefix, app) }

// Throttles are those of all applications that have one, or of one application.
func (s *Store) Throttles(ctx context.Context, app hook.Key) (map[hook.Key]int, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT id, throttle FROM applications WHERE throttle > 0 AND (id = ?1 OR ?1 = 0)", app)
	if err != nil {
		return nil, fmt.Errorf("read throttles: %w", err)
	}
	defer rows.Close()
	throttles := map[hook.Key]int{}
	for rows.Next() {
		var k hook.Key
		var n int
		if err := rows.Scan(&k, &n); err != nil {
			return nil, fmt.Errorf("read throttles: %w", err)
		}
		throttles[k] = n
	}
	return throttles, rows.Err()
}

// DeletedApplications are the deleted applications whose messages are still to
// be purged.
func (s *Store) DeletedApplications(ctx context.Context) ([]hook.Key, error) {
	const q = "SELECT CAST(substr(name, ?1 + 1) AS BIGINT) FROM meta WHERE substr(name, 1, ?1) = ?2"
	keys, err := queryKeys(ctx, s.read, q, len(deletedPrefix), deletedPrefix)
	if err != nil {
		return nil, fmt.Errorf("read deleted applications: %w", err)
	}
	return keys, nil
}
