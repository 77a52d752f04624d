package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

const auditColumns = "id, org_id, actor_kind, actor_id, actor_name, action, object_kind, object_id, object_name, parent_kind, parent_id, remote, changes"

func scanAudit(row scanner) (a hook.Audit, err error) {
	var changes []byte
	err = row.Scan(&a.ID, &a.Org, &a.Actor.Kind, &a.Actor.ID, &a.Actor.Name, &a.Action, &a.Object.Kind, &a.Object.ID, &a.Object.Name, &a.Parent.Kind, &a.Parent.ID, &a.Remote, &changes)
	if err == nil && len(changes) > 0 {
		err = json.Unmarshal(changes, &a.Changes)
	}
	return a, err
}

// AddAudit keeps an entry.
func (s *Store) AddAudit(ctx context.Context, a hook.Audit) error {
	changes, err := json.Marshal(a.Changes)
	if err != nil {
		return fmt.Errorf("add to audit log: %w", err)
	}
	if len(a.Changes) == 0 {
		changes = nil
	}
	err = s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		const q = "INSERT INTO audit (" + auditColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
		return one(tx.ExecContext(ctx, q, s.writer.key(time.Now(), 1), a.Org, string(a.Actor.Kind), clean(a.Actor.ID), clean(a.Actor.Name), a.Action,
			a.Object.Kind, clean(a.Object.ID), clean(a.Object.Name), a.Parent.Kind, clean(a.Parent.ID), a.Remote, clean(string(changes))))
	})
	if err != nil {
		return fmt.Errorf("add to audit log: %w", err)
	}
	return nil
}

// ListAudit reads one page of an organization's entries.
func (s *Store) ListAudit(ctx context.Context, q hook.AuditQuery) ([]hook.Audit, error) {
	text, args := "SELECT "+auditColumns+" FROM audit WHERE org_id = ?", []any{q.Org}
	for _, c := range []struct{ column, value string }{{"actor_id", q.Actor}, {"object_id", q.Object}, {"action", q.Action}} {
		if c.value != "" {
			text, args = text+" AND "+c.column+" = ?", append(args, clean(c.value))
		}
	}
	if !q.Range.Since.IsZero() {
		text, args = text+" AND id >= ?", append(args, hook.KeyAt(q.Range.Since))
	}
	if !q.Range.Until.IsZero() {
		text, args = text+" AND id < ?", append(args, hook.KeyAt(q.Range.Until))
	}
	text, args = onPage(text, q.Page, args...)
	return readRows(ctx, s.read, scanAudit, "audit log", text, args...)
}

// ForgetAudit deletes an organization's entries before a key, in small steps. It says how many.
func (s *Store) ForgetAudit(ctx context.Context, org, before hook.Key) (int64, error) {
	if before == 0 {
		return 0, nil
	}
	return s.inSteps(ctx, "forget audit log", "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE org_id = ? AND id < ? LIMIT ?)", org, before)
}
