-- See migrations/0011_people.sql.
--
-- sigpost: works with 2

-- +goose Up

CREATE TABLE users (
    id         BIGINT  NOT NULL PRIMARY KEY,
    org_id     BIGINT  NOT NULL REFERENCES organizations (id),
    name       TEXT    NOT NULL,
    folded     TEXT    NOT NULL UNIQUE,
    role       TEXT    NOT NULL,
    password   TEXT    NOT NULL DEFAULT '',
    disabled   INTEGER NOT NULL DEFAULT 0,
    created_at BIGINT  NOT NULL,
    updated_at BIGINT  NOT NULL,
    seen_at    BIGINT  NOT NULL DEFAULT 0
);
CREATE INDEX users_org ON users (org_id, id);

CREATE TABLE sessions (
    id         BIGINT  NOT NULL PRIMARY KEY,
    org_id     BIGINT  NOT NULL,
    user_id    BIGINT  NOT NULL,
    hash       BYTEA   NOT NULL UNIQUE,
    by_link    INTEGER NOT NULL,
    created_at BIGINT  NOT NULL,
    seen_at    BIGINT  NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id, id);
CREATE INDEX sessions_seen ON sessions (seen_at);

CREATE TABLE sign_in_links (
    id         BIGINT NOT NULL PRIMARY KEY,
    org_id     BIGINT NOT NULL,
    user_id    BIGINT NOT NULL,
    hash       BYTEA  NOT NULL UNIQUE,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sign_in_links_user ON sign_in_links (user_id);

CREATE TABLE audit (
    id          BIGINT NOT NULL PRIMARY KEY,
    org_id      BIGINT NOT NULL,
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

CREATE TABLE counts (
    org_id   BIGINT  NOT NULL,
    span     BIGINT  NOT NULL,
    at       BIGINT  NOT NULL,
    about_id BIGINT  NOT NULL,
    kind     INTEGER NOT NULL,
    node     INTEGER NOT NULL,
    n        BIGINT  NOT NULL,
    PRIMARY KEY (org_id, span, at, about_id, kind, node)
) WITH (fillfactor = 50);

-- +goose Down
-- A store is never taken back to nothing.
