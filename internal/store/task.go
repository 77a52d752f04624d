package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

const taskColumns = "id, org_id, kind, status, input, cursor, data, next_at, updated_at"

func scanTask(row scanner) (hook.Task, error) {
	var t hook.Task
	var next, updated int64
	err := row.Scan(&t.ID, &t.Org, &t.Kind, &t.Status, (*[]byte)(&t.Input), &t.Cursor, (*[]byte)(&t.Data), &next, &updated)
	t.NextAt, t.UpdatedAt = fromMS(next), fromMS(updated)
	return t, err
}

// object is raw JSON, or {} when there is none.
func object(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("{}")
	}
	return raw
}

// CreateTask keeps a task and gives it back with its key and time.
func (s *Store) CreateTask(ctx context.Context, t hook.Task) (hook.Task, error) {
	return s.BeginTask(ctx, t, func([]hook.Task) error { return nil })
}

// BeginTask keeps a task unless allow has something against it, whose error is then
// that of BeginTask. allow is told what the organization has under way, paused tasks
// too, the oldest first; two who ask at once are asked one after the other. It may
// be called more than once.
func (s *Store) BeginTask(ctx context.Context, t hook.Task, allow func(underWay []hook.Task) error) (hook.Task, error) {
	t.Input, t.Data = object(t.Input), object(t.Data)
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if _, err := s.organization(ctx, tx, t.Org, ""); err != nil {
			return err
		}
		if err := s.oneByOne(ctx, tx); err != nil {
			return err
		}
		underWay, err := readRows(ctx, tx, scanTask, "tasks", sqlUnderWay, t.Org)
		if err != nil {
			return err
		}
		if err := allow(underWay); err != nil {
			return err
		}
		now := time.Now()
		t.ID, t.NextAt, t.UpdatedAt = s.writer.key(now, 1), time.Time{}, inMS(now)
		const q = "INSERT INTO tasks (id, org_id, kind, status, input, cursor, data, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
		return one(tx.ExecContext(ctx, q, t.ID, t.Org, string(t.Kind), string(t.Status), string(t.Input), t.Cursor, string(t.Data), ms(now)))
	})
	if err != nil {
		return hook.Task{}, fmt.Errorf("create task: %w", err)
	}
	return t, nil
}

const sqlUnderWay = "SELECT " + taskColumns + " FROM tasks WHERE org_id = ? AND status IN ('running', 'paused') ORDER BY id"

// Task reads a task; CodeNotFound when the organization has none with this key.
func (s *Store) Task(ctx context.Context, org, id hook.Key) (hook.Task, error) {
	row := s.read.QueryRowContext(ctx, "SELECT "+taskColumns+" FROM tasks WHERE id = ? AND org_id = ?", id, org)
	return readRow(row, scanTask, "task", s.missing("task", hook.KindTask, id))
}

// Tasks reads one page of an organization's tasks.
func (s *Store) Tasks(ctx context.Context, org hook.Key, f hook.TaskFilter, page hook.Page) ([]hook.Task, error) {
	q, args := "SELECT "+taskColumns+" FROM tasks WHERE org_id = ?", []any{org}
	if len(f.Kinds) > 0 {
		q += " AND " + anyOf("kind", len(f.Kinds))
		for _, k := range f.Kinds {
			args = append(args, string(k))
		}
	}
	if len(f.Statuses) > 0 {
		q += " AND " + anyOf("status", len(f.Statuses))
		for _, x := range f.Statuses {
			args = append(args, string(x))
		}
	}
	q, args = onPage(q, page, args...)
	return readRows(ctx, s.read, scanTask, "tasks", q, args...)
}

// RunningTasks reads the tasks of all organizations that are being worked on, the
// oldest first.
func (s *Store) RunningTasks(ctx context.Context) ([]hook.Task, error) {
	return readRows(ctx, s.read, scanTask, "tasks", "SELECT "+taskColumns+" FROM tasks WHERE status = 'running' ORDER BY id")
}

// MoveTask pauses a task, lets it go on, or cancels it, and gives it back. One that
// is so already stays as it is; one that is over is CodeConflict.
func (s *Store) MoveTask(ctx context.Context, org, id hook.Key, to hook.TaskStatus) (t hook.Task, err error) {
	err = s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		t, err = s.lockTask(ctx, tx, org, id)
		switch {
		case err != nil:
			return err
		case t.Status == to:
			return nil
		case t.Status.Over():
			return hook.Errorf(hook.CodeConflict, "task %s is %s already", s.ids.Public(hook.KindTask, id), t.Status)
		}
		now := time.Now()
		t.Status, t.UpdatedAt = to, inMS(now)
		return one(tx.ExecContext(ctx, "UPDATE tasks SET status = ?, updated_at = ? WHERE id = ?", string(to), ms(now), id))
	})
	if err != nil {
		return hook.Task{}, fmt.Errorf("move task: %w", err)
	}
	return t, nil
}

// lockTask reads a task, and keeps other nodes from changing it until this
// transaction ends.
func (s *Store) lockTask(ctx context.Context, tx *sql.Conn, org, id hook.Key) (hook.Task, error) {
	row := tx.QueryRowContext(ctx, "SELECT "+taskColumns+" FROM tasks WHERE id = ? AND org_id = ?"+forUpdate, id, org)
	return readRow(row, scanTask, "task", s.missing("task", hook.KindTask, id))
}
