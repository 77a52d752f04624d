-- What was told of endpoints and sources, so that it is told once, whichever node
-- notices it, and again when whoever was to tell it could not.
--
-- sigpost: works with 2

-- +goose Up

CREATE TABLE alerts (
    about_id INTEGER NOT NULL,            -- endpoint or source
    kind     TEXT NOT NULL,
    org_id   INTEGER NOT NULL,
    mark     INTEGER NOT NULL,            -- rises with what is to be told anew
    at       INTEGER NOT NULL,            -- when somebody began to tell it
    told     INTEGER NOT NULL,            -- 1: it was told
    PRIMARY KEY (about_id, kind)
) WITHOUT ROWID;

-- Endpoints that are disabled already are no news.
INSERT INTO alerts (about_id, kind, org_id, mark, at, told)
    SELECT id, 'endpoint.disabled', org_id, 1, updated_at, 1 FROM endpoints WHERE state = 2;

-- +goose Down
-- A store is never taken back to nothing.
