-- People who sign in, and what the dashboard shows of what happened.
--
-- sigpost: works with 10

-- +goose Up

CREATE TABLE users (
    id         INTEGER PRIMARY KEY,
    org_id     INTEGER NOT NULL REFERENCES organizations (id),
    name       TEXT NOT NULL,
    folded     TEXT NOT NULL UNIQUE,      -- the name in lower case: there are no two that look alike
    role       TEXT NOT NULL,             -- 'admin' | 'developer' | 'viewer'
    password   TEXT NOT NULL DEFAULT '',  -- its hash with parameters and salt; empty: none was set
    disabled   INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX users_org ON users (org_id, id);

-- Browsers in which somebody is signed in.
CREATE TABLE sessions (
    id         INTEGER PRIMARY KEY,
    org_id     INTEGER NOT NULL,
    user_id    INTEGER NOT NULL,
    hash       BLOB NOT NULL UNIQUE,      -- SHA-256 of the cookie
    by_link    INTEGER NOT NULL,          -- 1: begun by a link, and no password was set since
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id, id);
CREATE INDEX sessions_seen ON sessions (seen_at);

-- Links that sign somebody in once. What was used is deleted.
CREATE TABLE sign_in_links (
    id         INTEGER PRIMARY KEY,
    org_id     INTEGER NOT NULL,
    user_id    INTEGER NOT NULL,
    hash       BLOB NOT NULL UNIQUE,
    expires_at INTEGER NOT NULL
);
CREATE INDEX sign_in_links_user ON sign_in_links (user_id);

-- Who did what through the API. changes is JSON, or empty.
CREATE TABLE audit (
    id          INTEGER PRIMARY KEY,
    org_id      INTEGER NOT NULL,
    actor_kind  TEXT NOT NULL,
    actor_id    TEXT NOT NULL,
    actor_name  TEXT NOT NULL,
    action      TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_id   TEXT NOT NULL,
    object_name TEXT NOT NULL,
    parent_kind TEXT NOT NULL,
    parent_id   TEXT NOT NULL,
    remote      TEXT NOT NULL,
    changes     TEXT NOT NULL
);
CREATE INDEX audit_org ON audit (org_id, id);
CREATE INDEX audit_actor ON audit (org_id, actor_id, id);
CREATE INDEX audit_object ON audit (org_id, object_id, id);

-- What happened, by organization and span (milliseconds: a minute, later an hour). kind is
-- hook.CountKind; each node has rows of its own, which are added up.
CREATE TABLE counts (
    org_id   INTEGER NOT NULL,
    span     INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    about_id INTEGER NOT NULL,
    kind     INTEGER NOT NULL,
    node     INTEGER NOT NULL,
    n        INTEGER NOT NULL,
    PRIMARY KEY (org_id, span, at, about_id, kind, node)
) WITHOUT ROWID;

-- +goose Down
-- A store is never taken back to nothing.
