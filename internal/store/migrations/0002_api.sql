-- What the API needs: applications, event types, tokens, tasks, and the indexes
-- of lists, which are filled a moment after the commit (docs/ARCHITECTURE.md,
-- "Indexed later").

-- +goose Up

-- Of an organization: header names of signatures and the like, as JSON.
ALTER TABLE organizations ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
-- The id that the owner's own tokens use for it; null where ours is used.
ALTER TABLE organizations ADD COLUMN external_id TEXT;
CREATE UNIQUE INDEX organizations_external ON organizations (external_id) WHERE external_id IS NOT NULL;

ALTER TABLE applications ADD COLUMN throttle   INTEGER NOT NULL DEFAULT 0; -- messages a second, 0: no bound
ALTER TABLE applications ADD COLUMN metadata   TEXT NOT NULL DEFAULT '{}';
ALTER TABLE applications ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
UPDATE applications SET updated_at = created_at;
-- hidden: 0 an application, 1 a source's, 2 that of operational webhooks.
CREATE INDEX applications_org ON applications (org_id, hidden, id);

-- Names are unique only among what the file manages, and what must stay secret
-- is sealed, so these tables are made anew.
CREATE TABLE new_sources (
    id         INTEGER PRIMARY KEY,
    org_id     INTEGER NOT NULL REFERENCES organizations (id),
    app_id     INTEGER NOT NULL REFERENCES applications (id),
    uid        TEXT,
    name       TEXT NOT NULL,
    type       TEXT NOT NULL DEFAULT '',   -- as the API names its provider
    provider   TEXT NOT NULL,
    token      TEXT NOT NULL UNIQUE,
    settings   TEXT NOT NULL DEFAULT '{}', -- JSON: policies, addresses, limits
    metadata   TEXT NOT NULL DEFAULT '{}',
    managed_by TEXT NOT NULL,              -- 'file' | 'api'
    disabled   INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
INSERT INTO new_sources (id, org_id, app_id, name, provider, token, managed_by, disabled, created_at, updated_at)
    SELECT id, org_id, app_id, name, provider, token, managed_by, disabled, created_at, created_at FROM sources;
DROP TABLE sources;
ALTER TABLE new_sources RENAME TO sources;
CREATE UNIQUE INDEX sources_file ON sources (org_id, name) WHERE managed_by = 'file';
CREATE UNIQUE INDEX sources_uid ON sources (org_id, uid) WHERE uid IS NOT NULL;
CREATE INDEX sources_org ON sources (org_id, id);

-- Tokens of sources that were rotated: they stay valid for a while.
CREATE TABLE source_tokens (
    token      TEXT NOT NULL PRIMARY KEY,
    source_id  INTEGER NOT NULL,
    org_id     INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX source_tokens_source ON source_tokens (source_id);

CREATE TABLE new_endpoints (
    id          INTEGER PRIMARY KEY,
    org_id      INTEGER NOT NULL REFERENCES organizations (id),
    app_id      INTEGER NOT NULL REFERENCES applications (id),
    uid         TEXT,
    name        TEXT NOT NULL,             -- of the file; empty otherwise
    url         TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    settings    TEXT NOT NULL,             -- JSON: filters, limits, schedule
    headers     BLOB,                      -- sealed JSON: they may hold credentials
    metadata    TEXT NOT NULL DEFAULT '{}',
    managed_by  TEXT NOT NULL,
    state       INTEGER NOT NULL DEFAULT 0, -- 0 enabled, 1 paused, 2 disabled
    reason      TEXT NOT NULL DEFAULT '',
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
);
INSERT INTO new_endpoints (id, org_id, app_id, name, url, settings, managed_by, state, reason, created_at, updated_at)
    SELECT id, org_id, app_id, name, url, settings, managed_by, state, reason, created_at, created_at FROM endpoints;
DROP TABLE endpoints;
ALTER TABLE new_endpoints RENAME TO endpoints;
CREATE UNIQUE INDEX endpoints_file ON endpoints (app_id, name) WHERE managed_by = 'file';
CREATE UNIQUE INDEX endpoints_uid ON endpoints (app_id, uid) WHERE uid IS NOT NULL;
CREATE INDEX endpoints_app ON endpoints (app_id, id);

-- value is sealed when sealed = 1; older rows are sealed at the next start.
ALTER TABLE secrets ADD COLUMN sealed INTEGER NOT NULL DEFAULT 0;

-- Of a message, as JSON lists; null when it has none.
ALTER TABLE messages ADD COLUMN channels TEXT;
ALTER TABLE messages ADD COLUMN tags TEXT;
-- When its payload is deleted before the rest of its application's; null: with it.
ALTER TABLE messages ADD COLUMN expires_at INTEGER;
CREATE INDEX messages_expiring ON messages (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE event_types (
    org_id        INTEGER NOT NULL,
    name          TEXT NOT NULL,
    description   TEXT NOT NULL,
    archived      INTEGER NOT NULL,
    deprecated    INTEGER NOT NULL,
    schemas       TEXT,                    -- JSON: version to JSON Schema
    group_name    TEXT,
    feature_flags TEXT,                    -- JSON list
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    PRIMARY KEY (org_id, name)
) WITHOUT ROWID;

-- Keys of the API, as hashes.
CREATE TABLE tokens (
    id         INTEGER PRIMARY KEY,
    org_id     INTEGER NOT NULL REFERENCES organizations (id),
    app_id     INTEGER NOT NULL,           -- 0: the whole organization
    scope      TEXT NOT NULL,              -- 'admin' | 'developer' | 'viewer' | 'send' | 'app'
    name       TEXT NOT NULL,
    session    TEXT NOT NULL DEFAULT '',   -- of the portal, as its caller named it
    settings   TEXT NOT NULL DEFAULT '{}', -- JSON: what a portal may do
    hash       BLOB NOT NULL UNIQUE,       -- SHA-256 of the token
    created_at INTEGER NOT NULL,
    expires_at INTEGER                     -- null: no end is set
);
CREATE INDEX tokens_app ON tokens (org_id, app_id, id);

-- Work that goes on after its request was answered; continued after a restart.
CREATE TABLE tasks (
    id         INTEGER PRIMARY KEY,
    org_id     INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    status     TEXT NOT NULL,              -- 'running' | 'finished' | 'failed'
    input      TEXT NOT NULL,              -- JSON: what was asked for
    cursor     INTEGER NOT NULL DEFAULT 0, -- how far it is
    data       TEXT NOT NULL DEFAULT '{}', -- JSON: the result, also while it grows
    updated_at INTEGER NOT NULL
);
CREATE INDEX tasks_org ON tasks (org_id, id);
CREATE INDEX tasks_running ON tasks (id) WHERE status = 'running';

-- Requests that carried an idempotency key, for twelve hours. Looked up in
-- memory; read here once, at the start.
CREATE TABLE idempotency (
    id         INTEGER PRIMARY KEY,        -- rises, so its time is in it
    org_id     INTEGER NOT NULL,
    hash       BLOB NOT NULL,              -- 16 bytes, of organization and key
    request    BLOB NOT NULL,              -- 16 bytes, of what was asked
    message_id INTEGER NOT NULL,           -- the message that it made, 0: another request
    status     INTEGER NOT NULL,
    answer     BLOB                        -- sealed; null for messages
);

-- Where rows are in lists: owner and term to ascending ids. Filled in bulk, off
-- the commit path; meta has how far. Terms are 63-bit hashes, so what is found
-- here is looked at again in its row.
CREATE TABLE postings (
    owner_id INTEGER NOT NULL,
    term     INTEGER NOT NULL,
    id       INTEGER NOT NULL,
    PRIMARY KEY (owner_id, term, id)
) WITHOUT ROWID;

-- Deliveries that ended badly are few, so they may be indexed at once.
CREATE INDEX deliveries_failed ON deliveries (endpoint_id, id) WHERE state = 2;
CREATE INDEX deliveries_canceled ON deliveries (endpoint_id, id) WHERE state = 4;

-- +goose Down
-- A store is never taken back to nothing.
