-- Tasks have a pace, and can be paused.
--
-- sigpost: works with 2

-- +goose Up

-- status is 'running' | 'paused' | 'canceled' | 'finished' | 'failed'.
ALTER TABLE tasks ADD COLUMN next_at INTEGER NOT NULL DEFAULT 0; -- no step before; 0: at once
CREATE INDEX tasks_under_way ON tasks (org_id, id) WHERE status IN ('running', 'paused');

-- +goose Down
-- A store is never taken back to nothing.
