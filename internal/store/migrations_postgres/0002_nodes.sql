-- Nodes say which schema they were built for, so that a migration is refused that one
-- which lives could not work with (docs/ARCHITECTURE.md, "Upgrading"), and how their
-- sessions are named, so that those of a dead one can be ended.
--
-- sigpost: works with 1

-- +goose Up

ALTER TABLE nodes ADD COLUMN schema INTEGER NOT NULL DEFAULT 1;
ALTER TABLE nodes ADD COLUMN session TEXT NOT NULL DEFAULT '';

-- +goose Down
-- A store is never taken back to nothing.
