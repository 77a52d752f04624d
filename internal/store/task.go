package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

const taskColumns = "id, org_id, kind, status, input, cursor, data, updated_at"

func scanTask(row scanner) (hook.Task, error) {
	var t hook.Task
	var updated int64
	err := row.Scan(&t.ID, &t.Org, &t.Kind, &t.Status, (*[]byte)(&t.Input), &t.Cursor, (*[]byte)(&t.Data), &updated)
	t.UpdatedAt = fromMS(updated)
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
	t.Input, t.Data = object(t.Input), object(t.Data)
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if _, err := s.organization(ctx, tx, t.Org); err != nil {
			return err
		}
		now := time.Now()
		t.ID, t.UpdatedAt = s.writer.key(now, 1), inMS(now)
		const q = "INSERT INTO tasks (id, org_id, kind, status, input, cursor, data, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
		return one(tx.ExecContext(ctx, q, t.ID, t.Org, string(t.Kind), string(t.Status), string(t.Input), t.Cursor, string(t.Data), ms(now)))
	})
	if err != nil {
		return hook.Task{}, fmt.Errorf("create task: %w", err)
	}
	return t, nil
}

// Task reads a task; CodeNotFound when the organization has none with this key.
func (s *Store) Task(ctx context.Context, org, id hook.Key) (hook.Task, error) {
	row := s.read.QueryRowContext(ctx, "SELECT "+taskColumns+" FROM tasks WHERE id = ? AND org_id = ?", id, org)
	return readRow(row, scanTask, "task", s.missing("task", hook.KindTask, id))
}

// Tasks reads one page of an organization's tasks, of one kind and in one status
// where these are not empty.
func (s *Store) Tasks(ctx context.Context, org hook.Key, kind hook.TaskKind, status hook.TaskStatus, page hook.Page) ([]hook.Task, error) {
	q, args := "SELECT "+taskColumns+" FROM tasks WHERE org_id = ?", []any{org}
	if kind != "" {
		q, args = q+" AND kind = ?", append(args, string(kind))
	}
	if status != "" {
		q, args = q+" AND status = ?", append(args, string(status))
	}
	q, args = onPage(q, page, args...)
	return readRows(ctx, s.read, scanTask, "tasks", q, args...)
}

// RunningTasks reads the tasks of all organizations that are not done, the oldest first.
func (s *Store) RunningTasks(ctx context.Context) ([]hook.Task, error) {
	return readRows(ctx, s.read, scanTask, "tasks", "SELECT "+taskColumns+" FROM tasks WHERE status = 'running' ORDER BY id")
}

// StepTask keeps how far a task is: its status, cursor and data.
func (s *Store) StepTask(ctx context.Context, t hook.Task) error {
	const q = "UPDATE tasks SET status = ?, cursor = ?, data = ?, updated_at = ? WHERE id = ? AND org_id = ?"
	n, err := s.changeState(ctx, q, string(t.Status), t.Cursor, string(object(t.Data)), ms(time.Now()), t.ID, t.Org)
	if err != nil {
		return fmt.Errorf("step task: %w", err)
	}
	if n == 0 {
		return s.missing("task", hook.KindTask, t.ID)
	}
	return nil
}
