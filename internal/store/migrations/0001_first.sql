-- The first schema. docs/ARCHITECTURE.md ("The first migration") says why each
-- column is where it is; what decides the speed of this file is which pages a
-- commit dirties, so the hot tables (messages, bodies, dedupe, deliveries,
-- attempts) have one rising integer key, and no index but partial ones of few rows.
--
-- Times are milliseconds since 1970 UTC, durations microseconds.

-- +goose Up

-- Facts of this store: the secret behind public ids, when it was made.
CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

-- Each start of a process. A delivery whose holder is not alive may be claimed.
CREATE TABLE incarnations (
    id         INTEGER PRIMARY KEY,
    node       INTEGER NOT NULL,
    started_at INTEGER NOT NULL
);

CREATE TABLE organizations (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    created_at INTEGER NOT NULL
);

CREATE TABLE applications (
    id         INTEGER PRIMARY KEY,
    org_id     INTEGER NOT NULL REFERENCES organizations (id),
    uid        TEXT,                      -- the owner's own name for it
    name       TEXT NOT NULL,
    hidden     INTEGER NOT NULL DEFAULT 0, -- 1: belongs to a source
    created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX applications_uid ON applications (org_id, uid) WHERE uid IS NOT NULL;

CREATE TABLE sources (
    id         INTEGER PRIMARY KEY,
    org_id     INTEGER NOT NULL REFERENCES organizations (id),
    app_id     INTEGER NOT NULL REFERENCES applications (id),
    name       TEXT NOT NULL,
    provider   TEXT NOT NULL,
    token      TEXT NOT NULL UNIQUE,
    managed_by TEXT NOT NULL,             -- 'file' | 'api'
    disabled   INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    UNIQUE (org_id, name)
);

CREATE TABLE endpoints (
    id         INTEGER PRIMARY KEY,
    org_id     INTEGER NOT NULL REFERENCES organizations (id),
    app_id     INTEGER NOT NULL REFERENCES applications (id),
    name       TEXT NOT NULL,
    url        TEXT NOT NULL,
    settings   TEXT NOT NULL,             -- JSON: filters, limits, headers, schedule
    managed_by TEXT NOT NULL,
    state      INTEGER NOT NULL DEFAULT 0, -- 0 enabled, 1 paused, 2 disabled
    reason     TEXT NOT NULL DEFAULT '',
    created_at INTEGER NOT NULL,
    UNIQUE (app_id, name)
);

-- Secrets that Sigpost made. Those of the configuration file stay in the file.
CREATE TABLE secrets (
    id         INTEGER PRIMARY KEY,
    org_id     INTEGER NOT NULL REFERENCES organizations (id),
    owner_id   INTEGER NOT NULL,          -- endpoint or source
    value      BLOB NOT NULL,
    expires_at INTEGER                    -- null: no end is set
);
CREATE INDEX secrets_owner ON secrets (owner_id);

-- Hot. One row an accepted event; immutable.
CREATE TABLE messages (
    id          INTEGER PRIMARY KEY,
    org_id      INTEGER NOT NULL,
    app_id      INTEGER NOT NULL,
    event_type  TEXT NOT NULL,
    event_id    TEXT,                     -- the provider's own id
    family      TEXT,
    subjects    TEXT,                     -- JSON: [[kind,id],…]
    occurred_at INTEGER,
    rank        INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    headers     TEXT NOT NULL,            -- JSON: [[name,value],…], as received
    size        INTEGER NOT NULL,
    fanout      INTEGER NOT NULL          -- deliveries id+1 … id+fanout belong to it
);

-- Hot. Apart from messages so that lists stay dense and payloads may go first.
CREATE TABLE bodies (
    message_id INTEGER PRIMARY KEY,
    org_id     INTEGER NOT NULL,
    body       BLOB NOT NULL
);

-- Hot. What was seen in the last eight days. Apart from messages because it
-- outlives them. Looked up in memory; read here once, at the start.
CREATE TABLE dedupe (
    message_id INTEGER PRIMARY KEY,
    org_id     INTEGER NOT NULL,
    hash       BLOB NOT NULL              -- 16 bytes, the application included
);

-- How often an event came again.
CREATE TABLE duplicates (
    message_id INTEGER PRIMARY KEY,
    org_id     INTEGER NOT NULL,
    count      INTEGER NOT NULL,
    last_at    INTEGER NOT NULL
);

-- Hot. One row a message and endpoint.
CREATE TABLE deliveries (
    id           INTEGER PRIMARY KEY,
    org_id       INTEGER NOT NULL,
    message_id   INTEGER NOT NULL,
    endpoint_id  INTEGER NOT NULL,
    state        INTEGER NOT NULL,        -- 0 delivered, 1 pending, 2 failed, 4 canceled, 5 held
    attempts     INTEGER NOT NULL,
    failures     INTEGER NOT NULL,        -- of them, since the retry window began
    next_at      INTEGER NOT NULL,
    since        INTEGER NOT NULL,        -- start of the retry window
    holder       INTEGER NOT NULL,        -- incarnation that has it in memory, 0: none
    last_attempt INTEGER NOT NULL,        -- 0: none yet
    trigger      INTEGER NOT NULL,
    late         INTEGER NOT NULL         -- 1: made after its message, so not at id+1 … id+fanout
);
-- Only what is pending stands in this index, so it stays a few pages however
-- long the table grows.
CREATE INDEX deliveries_pending ON deliveries (endpoint_id, holder, next_at) WHERE state = 1;
CREATE INDEX deliveries_held ON deliveries (endpoint_id) WHERE state = 5;
CREATE INDEX deliveries_late ON deliveries (message_id) WHERE late = 1;

-- Hot. One row an HTTP try; the attempts of a delivery are a chain from its
-- last_attempt through previous.
CREATE TABLE attempts (
    id          INTEGER PRIMARY KEY,
    org_id      INTEGER NOT NULL,
    delivery_id INTEGER NOT NULL,
    previous    INTEGER NOT NULL,         -- 0: the first
    number      INTEGER NOT NULL,
    trigger     INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    duration    INTEGER NOT NULL,
    outcome     TEXT NOT NULL,
    status      INTEGER NOT NULL,
    response    BLOB,
    reason      TEXT
);

-- Requests whose signature did not verify. Best effort, bounded, off the hot path.
CREATE TABLE rejected (
    id          INTEGER PRIMARY KEY,
    org_id      INTEGER NOT NULL,
    source_id   INTEGER NOT NULL,
    reason      TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    remote      TEXT NOT NULL,
    method      TEXT NOT NULL,
    url         TEXT NOT NULL,
    headers     TEXT NOT NULL,
    size        INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    accepted    INTEGER NOT NULL,         -- the message it became, 0: none
    body        BLOB NOT NULL             -- last: the others are read without it
);
CREATE INDEX rejected_source ON rejected (source_id, id);

-- +goose Down
-- A store is never taken back to nothing.
