-- How far the payloads of an application were deleted because of their age (see
-- ../migrations).
--
-- sigpost: works with 2

-- +goose Up

CREATE TABLE retained (
    app_id   BIGINT NOT NULL PRIMARY KEY,
    org_id   BIGINT NOT NULL,
    payloads BIGINT NOT NULL
);

-- +goose Down
-- A store is never taken back to nothing.
