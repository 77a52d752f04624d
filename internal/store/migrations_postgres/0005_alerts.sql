-- See migrations/0005_alerts.sql.
--
-- sigpost: works with 2

-- +goose Up

CREATE TABLE alerts (
    about_id BIGINT  NOT NULL,
    kind     TEXT    NOT NULL,
    org_id   BIGINT  NOT NULL,
    mark     BIGINT  NOT NULL,
    at       BIGINT  NOT NULL,
    told     INTEGER NOT NULL,
    PRIMARY KEY (about_id, kind)
);

INSERT INTO alerts (about_id, kind, org_id, mark, at, told)
    SELECT id, 'endpoint.disabled', org_id, 1, updated_at, 1 FROM endpoints WHERE state = 2;

-- +goose Down
-- A store is never taken back to nothing.
