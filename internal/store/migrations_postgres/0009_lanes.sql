-- Order: see ../migrations/0009_lanes.sql. An older binary goes on working beside it: it
-- leaves waiting deliveries alone, and a lane whose head it settled is mended by upkeep.
--
-- sigpost: works with 2

-- +goose Up

ALTER TABLE messages ADD COLUMN final INTEGER NOT NULL DEFAULT 0;

ALTER TABLE deliveries
    ADD COLUMN lane       BIGINT  NOT NULL DEFAULT 0,
    ADD COLUMN superseded BIGINT  NOT NULL DEFAULT 0,
    ADD COLUMN poison     INTEGER NOT NULL DEFAULT 0;

-- Whoever changes a lane locks its row first, and the rows of several in the order of
-- their keys.
CREATE TABLE lanes (
    endpoint_id BIGINT  NOT NULL,
    lane        BIGINT  NOT NULL,
    org_id      BIGINT  NOT NULL,
    head        BIGINT  NOT NULL,
    message_id  BIGINT  NOT NULL,
    place       BIGINT  NOT NULL,
    occurred_at BIGINT  NOT NULL,
    rank        BIGINT  NOT NULL,
    family      TEXT    NOT NULL,
    final       INTEGER NOT NULL,
    last        BIGINT  NOT NULL,
    PRIMARY KEY (endpoint_id, lane)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE turns (
    endpoint_id BIGINT  NOT NULL,
    lane        BIGINT  NOT NULL,
    place       BIGINT  NOT NULL,
    org_id      BIGINT  NOT NULL,
    id          BIGINT  NOT NULL,
    message_id  BIGINT  NOT NULL,
    occurred_at BIGINT  NOT NULL,
    rank        BIGINT  NOT NULL,
    family      TEXT    NOT NULL,
    final       INTEGER NOT NULL,
    PRIMARY KEY (endpoint_id, lane, place)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE latest (
    endpoint_id BIGINT  NOT NULL,
    lane        BIGINT  NOT NULL,
    family      TEXT    NOT NULL,
    final       INTEGER NOT NULL,
    org_id      BIGINT  NOT NULL,
    delivery_id BIGINT  NOT NULL,
    message_id  BIGINT  NOT NULL,
    place       BIGINT  NOT NULL,
    occurred_at BIGINT  NOT NULL,
    rank        BIGINT  NOT NULL,
    PRIMARY KEY (endpoint_id, lane, family, final)
) WITH (fillfactor = 70);
CREATE INDEX latest_delivery ON latest (delivery_id);

-- +goose Down
-- A store is never taken back to nothing.
