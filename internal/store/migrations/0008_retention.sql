-- How far the payloads of an application were deleted because of their age: the key
-- before which there are none. Messages and attempts need no mark, for their
-- postings go with them.
--
-- sigpost: works with 2

-- +goose Up

CREATE TABLE retained (
    app_id   INTEGER PRIMARY KEY,
    org_id   INTEGER NOT NULL,
    payloads INTEGER NOT NULL
);

-- +goose Down
-- A store is never taken back to nothing.
