-- Hashes that are no longer the newest leave memory: they are packed into runs,
-- of which memory keeps filters only (docs/ARCHITECTURE.md, "Dedupe").

-- +goose Up

-- What is listed here is whole. Blocks and filters of other runs are left over
-- from work that was cut, and are deleted.
CREATE TABLE runs (
    id   INTEGER PRIMARY KEY,              -- its number, at most 27 bits
    kind INTEGER NOT NULL,                 -- 1 of table dedupe, 2 of table idempotency
    last INTEGER NOT NULL,                 -- no key of its table up to this one is in memory
    keys INTEGER NOT NULL                  -- how many it has
);

-- The hashes of a run in their order, 126 a row, which fill a page. Written once,
-- at the right edge.
CREATE TABLE run_blocks (
    id      INTEGER PRIMARY KEY,           -- run << 36 | first 36 bits of its first hash
    entries BLOB NOT NULL                  -- 32 bytes each: hash, key, organization
);

-- One filter for some 200,000 hashes of a run; read at the start.
CREATE TABLE run_filters (
    id     INTEGER PRIMARY KEY,            -- that of the first block
    filter BLOB NOT NULL                   -- bits of a fingerprint, then a binary fuse filter
);

-- +goose Down
-- A store is never taken back to nothing.
