-- The whole schema on PostgreSQL: the tables and columns that SQLite has (see
-- ../migrations), a table of nodes, and the time at which an incarnation was last seen.
--
-- messages, bodies, deliveries and attempts are partitioned by day of their key,
-- which begins with its time, so that what is old is dropped as a table. Partitions
-- are made by the program, days ahead; the default one takes what has none, so
-- nothing depends on that. dedupe is partitioned by hash: a unique key
-- cannot span partitions by time. Times are milliseconds since 1970 UTC but for
-- seen_at, which is the database's own clock; durations are microseconds.

-- +goose Up

CREATE TABLE meta (
    name  TEXT  NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);
-- Postings are written with their rows here, so the index is never behind: its
-- marks stand at the end for good. Several nodes commit out of the order of their
-- keys, and a mark that moves would leave out what is committed behind it.
INSERT INTO meta (name, value) VALUES
    ('indexed_messages', '9223372036854775806'), ('indexed_deliveries', '9223372036854775806'), ('indexed_attempts', '9223372036854775806');

-- The numbers in keys: each node has one, and no two that live have the same.
CREATE TABLE nodes (
    id          INTEGER NOT NULL PRIMARY KEY,
    incarnation BIGINT  NOT NULL,          -- that has the number, 0: given back
    seen_at     TIMESTAMPTZ NOT NULL,
    behind      BIGINT  NOT NULL DEFAULT 0 -- milliseconds, of its clock to the database's
) WITH (fillfactor = 50);

CREATE TABLE incarnations (
    id         BIGINT  NOT NULL PRIMARY KEY,
    node       INTEGER NOT NULL,
    started_at BIGINT  NOT NULL,
    seen_at    TIMESTAMPTZ NOT NULL        -- alive is who was seen a short time ago
) WITH (fillfactor = 50);

CREATE TABLE organizations (
    id          BIGINT NOT NULL PRIMARY KEY,
    name        TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    settings    TEXT   NOT NULL DEFAULT '{}',
    external_id TEXT
);
CREATE UNIQUE INDEX organizations_external ON organizations (external_id) WHERE external_id IS NOT NULL;

CREATE TABLE applications (
    id         BIGINT  NOT NULL PRIMARY KEY,
    org_id     BIGINT  NOT NULL REFERENCES organizations (id),
    uid        TEXT,
    name       TEXT    NOT NULL,
    hidden     INTEGER NOT NULL DEFAULT 0,
    created_at BIGINT  NOT NULL,
    throttle   INTEGER NOT NULL DEFAULT 0,
    metadata   TEXT    NOT NULL DEFAULT '{}',
    updated_at BIGINT  NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX applications_uid ON applications (org_id, uid) WHERE uid IS NOT NULL;
CREATE INDEX applications_org ON applications (org_id, hidden, id);
-- Two nodes may want to make it at the same time.
CREATE UNIQUE INDEX applications_operational ON applications (org_id) WHERE hidden = 2;

CREATE TABLE sources (
    id         BIGINT  NOT NULL PRIMARY KEY,
    org_id     BIGINT  NOT NULL REFERENCES organizations (id),
    app_id     BIGINT  NOT NULL REFERENCES applications (id),
    uid        TEXT,
    name       TEXT    NOT NULL COLLATE "C",
    type       TEXT    NOT NULL DEFAULT '',
    provider   TEXT    NOT NULL,
    token      TEXT    NOT NULL UNIQUE,
    settings   TEXT    NOT NULL DEFAULT '{}',
    metadata   TEXT    NOT NULL DEFAULT '{}',
    managed_by TEXT    NOT NULL,
    disabled   INTEGER NOT NULL DEFAULT 0,
    created_at BIGINT  NOT NULL,
    updated_at BIGINT  NOT NULL
);
CREATE UNIQUE INDEX sources_file ON sources (org_id, name) WHERE managed_by = 'file';
CREATE UNIQUE INDEX sources_uid ON sources (org_id, uid) WHERE uid IS NOT NULL;
CREATE INDEX sources_org ON sources (org_id, id);
CREATE INDEX sources_app ON sources (app_id);

CREATE TABLE source_tokens (
    token      TEXT   NOT NULL PRIMARY KEY,
    source_id  BIGINT NOT NULL,
    org_id     BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX source_tokens_source ON source_tokens (source_id);

CREATE TABLE endpoints (
    id          BIGINT  NOT NULL PRIMARY KEY,
    org_id      BIGINT  NOT NULL REFERENCES organizations (id),
    app_id      BIGINT  NOT NULL REFERENCES applications (id),
    uid         TEXT,
    name        TEXT    NOT NULL,
    url         TEXT    NOT NULL,
    description TEXT    NOT NULL DEFAULT '',
    settings    TEXT    NOT NULL,
    headers     BYTEA,
    metadata    TEXT    NOT NULL DEFAULT '{}',
    managed_by  TEXT    NOT NULL,
    state       INTEGER NOT NULL DEFAULT 0,
    reason      TEXT    NOT NULL DEFAULT '',
    created_at  BIGINT  NOT NULL,
    updated_at  BIGINT  NOT NULL
);
CREATE UNIQUE INDEX endpoints_file ON endpoints (app_id, name) WHERE managed_by = 'file';
CREATE UNIQUE INDEX endpoints_uid ON endpoints (app_id, uid) WHERE uid IS NOT NULL;
CREATE INDEX endpoints_app ON endpoints (app_id, id);

CREATE TABLE secrets (
    id         BIGINT  NOT NULL PRIMARY KEY,
    org_id     BIGINT  NOT NULL,
    owner_id   BIGINT  NOT NULL,
    value      BYTEA   NOT NULL,
    expires_at BIGINT,
    sealed     INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX secrets_owner ON secrets (owner_id);

CREATE TABLE messages (
    id          BIGINT  NOT NULL PRIMARY KEY,
    org_id      BIGINT  NOT NULL,
    app_id      BIGINT  NOT NULL,
    event_type  TEXT    NOT NULL,
    event_id    TEXT,
    family      TEXT,
    subjects    TEXT,
    occurred_at BIGINT,
    rank        BIGINT  NOT NULL,
    received_at BIGINT  NOT NULL,
    headers     TEXT    NOT NULL,
    size        BIGINT  NOT NULL,
    fanout      INTEGER NOT NULL,
    channels    TEXT,
    tags        TEXT,
    expires_at  BIGINT
) PARTITION BY RANGE (id);
CREATE INDEX messages_expiring ON messages (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE messages_default PARTITION OF messages DEFAULT;

CREATE TABLE bodies (
    message_id BIGINT NOT NULL PRIMARY KEY,
    org_id     BIGINT NOT NULL,
    body       BYTEA  NOT NULL
) PARTITION BY RANGE (message_id);
CREATE TABLE bodies_default PARTITION OF bodies DEFAULT;

-- message_id is that of the first; a hash that has left the window gets a new one.
CREATE TABLE dedupe (
    message_id BIGINT NOT NULL,
    org_id     BIGINT NOT NULL,
    hash       BYTEA  NOT NULL PRIMARY KEY
) PARTITION BY HASH (hash);
CREATE INDEX dedupe_message ON dedupe (message_id);
-- +goose StatementBegin
DO $$ BEGIN
    FOR i IN 0..7 LOOP
        EXECUTE format('CREATE TABLE dedupe_%s PARTITION OF dedupe FOR VALUES WITH (MODULUS 8, REMAINDER %s)
            WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.2)', i, i);
    END LOOP;
END $$;
-- +goose StatementEnd

CREATE TABLE duplicates (
    message_id BIGINT NOT NULL PRIMARY KEY,
    org_id     BIGINT NOT NULL,
    count      BIGINT NOT NULL,
    last_at    BIGINT NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE deliveries (
    id           BIGINT  NOT NULL PRIMARY KEY,
    org_id       BIGINT  NOT NULL,
    message_id   BIGINT  NOT NULL,
    endpoint_id  BIGINT  NOT NULL,
    state        INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    failures     INTEGER NOT NULL,
    next_at      BIGINT  NOT NULL,
    since        BIGINT  NOT NULL,
    holder       BIGINT  NOT NULL,
    last_attempt BIGINT  NOT NULL,
    trigger      INTEGER NOT NULL,
    late         INTEGER NOT NULL
) PARTITION BY RANGE (id);
CREATE INDEX deliveries_pending ON deliveries (endpoint_id, holder, next_at) WHERE state = 1;
CREATE INDEX deliveries_held ON deliveries (endpoint_id, id) WHERE state = 5;
CREATE INDEX deliveries_failed ON deliveries (endpoint_id, id) WHERE state = 2;
CREATE INDEX deliveries_canceled ON deliveries (endpoint_id, id) WHERE state = 4;
CREATE INDEX deliveries_late ON deliveries (message_id) WHERE late = 1;
CREATE TABLE deliveries_default PARTITION OF deliveries DEFAULT;

CREATE TABLE attempts (
    id          BIGINT  NOT NULL PRIMARY KEY,
    org_id      BIGINT  NOT NULL,
    delivery_id BIGINT  NOT NULL,
    previous    BIGINT  NOT NULL,
    number      INTEGER NOT NULL,
    trigger     INTEGER NOT NULL,
    at          BIGINT  NOT NULL,
    duration    BIGINT  NOT NULL,
    outcome     TEXT    NOT NULL,
    status      INTEGER NOT NULL,
    response    BYTEA,
    reason      TEXT
) PARTITION BY RANGE (id);
CREATE TABLE attempts_default PARTITION OF attempts DEFAULT;

CREATE TABLE rejected (
    id          BIGINT  NOT NULL PRIMARY KEY,
    org_id      BIGINT  NOT NULL,
    source_id   BIGINT  NOT NULL,
    reason      TEXT    NOT NULL,
    received_at BIGINT  NOT NULL,
    remote      TEXT    NOT NULL,
    method      TEXT    NOT NULL,
    url         TEXT    NOT NULL,
    headers     TEXT    NOT NULL,
    size        BIGINT  NOT NULL,
    quarantined INTEGER NOT NULL,
    accepted    BIGINT  NOT NULL,
    body        BYTEA   NOT NULL
);
CREATE INDEX rejected_source ON rejected (source_id, id);

CREATE TABLE event_types (
    org_id        BIGINT  NOT NULL,
    name          TEXT    NOT NULL COLLATE "C",
    description   TEXT    NOT NULL,
    archived      INTEGER NOT NULL,
    deprecated    INTEGER NOT NULL,
    schemas       TEXT,
    group_name    TEXT,
    feature_flags TEXT,
    created_at    BIGINT  NOT NULL,
    updated_at    BIGINT  NOT NULL,
    PRIMARY KEY (org_id, name)
);

CREATE TABLE tokens (
    id         BIGINT NOT NULL PRIMARY KEY,
    org_id     BIGINT NOT NULL REFERENCES organizations (id),
    app_id     BIGINT NOT NULL,
    scope      TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    session    TEXT   NOT NULL DEFAULT '',
    settings   TEXT   NOT NULL DEFAULT '{}',
    hash       BYTEA  NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);
CREATE INDEX tokens_app ON tokens (org_id, app_id, id);

CREATE TABLE tasks (
    id         BIGINT NOT NULL PRIMARY KEY,
    org_id     BIGINT NOT NULL,
    kind       TEXT   NOT NULL,
    status     TEXT   NOT NULL,
    input      TEXT   NOT NULL,
    cursor     BIGINT NOT NULL DEFAULT 0,
    data       TEXT   NOT NULL DEFAULT '{}',
    updated_at BIGINT NOT NULL
);
CREATE INDEX tasks_org ON tasks (org_id, id);
CREATE INDEX tasks_running ON tasks (id) WHERE status = 'running';

-- A key that has left the window is taken over by the next request with it.
CREATE TABLE idempotency (
    id         BIGINT  NOT NULL,
    org_id     BIGINT  NOT NULL,
    hash       BYTEA   NOT NULL PRIMARY KEY,
    request    BYTEA   NOT NULL,
    message_id BIGINT  NOT NULL,
    status     INTEGER NOT NULL,
    answer     BYTEA
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX idempotency_id ON idempotency (id);

CREATE TABLE postings (
    owner_id BIGINT NOT NULL,
    term     BIGINT NOT NULL,
    id       BIGINT NOT NULL,
    PRIMARY KEY (owner_id, term, id)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05);

-- What SQLite has built in.
CREATE FUNCTION instr(hay TEXT, needle TEXT) RETURNS INTEGER LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE RETURN strpos(hay, needle);
CREATE FUNCTION instr(hay BYTEA, needle BYTEA) RETURNS INTEGER LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE RETURN position(needle IN hay);
-- GLOB with * as its only pattern.
CREATE FUNCTION glob(value TEXT, pattern TEXT) RETURNS BOOLEAN LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE
    RETURN value LIKE replace(replace(replace(replace(pattern, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%');

-- +goose Down
-- A store is never taken back to nothing.
