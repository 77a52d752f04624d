-- What nodes tell each other while they work. SQLite has none of it: there is one process.

-- +goose Up

-- Requests with an idempotency key that a node is doing now. A row goes with its answer; the
-- row of a holder that is dead is anybody's. id tells one try from the next.
CREATE TABLE requests (
    hash   BYTEA  NOT NULL PRIMARY KEY,
    id     BIGINT NOT NULL,
    holder BIGINT NOT NULL
) WITH (fillfactor = 50);

-- Work that one node does for all, and the incarnation that does it.
CREATE TABLE duties (
    name   TEXT   NOT NULL PRIMARY KEY,
    holder BIGINT NOT NULL
) WITH (fillfactor = 50);

-- What nodes tell each other where they do not listen. at is the database's own clock, and
-- the key begins with it: who reads looks back a while, for a row may be committed late. id is
-- a random number. Rows that are a minute old go.
CREATE TABLE notices (
    at   TIMESTAMPTZ NOT NULL,
    id   BIGINT      NOT NULL,
    kind TEXT        NOT NULL,
    key  BIGINT      NOT NULL,
    PRIMARY KEY (at, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- +goose Down
-- A store is never taken back to nothing.
