-- What nodes tell each other while they work. SQLite has none of it: there is one process.

-- +goose Up

-- Requests with an idempotency key that a node is doing now. A row goes with its answer; the
-- row of a holder that is dead is anybody's. id tells one try from the next.
CREATE TABLE requests (
    hash   BYTEA  NOT NULL PRIMARY KEY,
    id     BIGINT NOT NULL,
    holder BIGINT NOT NULL
) WITH (fillfactor = 50);

-- +goose Down
-- A store is never taken back to nothing.
