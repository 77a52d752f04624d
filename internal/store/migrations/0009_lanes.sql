-- Order. A lane is the messages about one subject on their way to one endpoint;
-- docs/ARCHITECTURE.md ("Lanes") says how they are kept. Columns are added with a
-- constant, which touches no row, and what only lanes need stands in tables of its own:
-- an index of deliveries would read all of them here, and be looked for in every one of
-- their partitions on PostgreSQL.

-- +goose Up

-- 1: no other type of its family follows in the ordinary course of things.
ALTER TABLE messages ADD COLUMN final INTEGER NOT NULL DEFAULT 0;

-- state: 6 is waiting for its turn.
ALTER TABLE deliveries ADD COLUMN lane       INTEGER NOT NULL DEFAULT 0; -- a hash of the subject, 0: it is in no lane
ALTER TABLE deliveries ADD COLUMN superseded INTEGER NOT NULL DEFAULT 0; -- the message for which it was canceled
ALTER TABLE deliveries ADD COLUMN poison     INTEGER NOT NULL DEFAULT 0; -- left its lane after failures: 1 skipped, 2 parked

-- Each lane that has a delivery which is not over. One of them is pending or held: its
-- head. message_id to final are the head's, as they were in its turn.
CREATE TABLE lanes (
    endpoint_id INTEGER NOT NULL,
    lane        INTEGER NOT NULL,
    org_id      INTEGER NOT NULL,
    head        INTEGER NOT NULL,
    message_id  INTEGER NOT NULL, -- of the head
    place       INTEGER NOT NULL,
    occurred_at INTEGER NOT NULL,
    rank        INTEGER NOT NULL,
    family      TEXT    NOT NULL,
    final       INTEGER NOT NULL,
    last        INTEGER NOT NULL, -- the last place that was given
    PRIMARY KEY (endpoint_id, lane)
) WITHOUT ROWID;

-- All the others, in their order, with what tells whether one goes before another.
CREATE TABLE turns (
    endpoint_id INTEGER NOT NULL,
    lane        INTEGER NOT NULL,
    place       INTEGER NOT NULL,
    org_id      INTEGER NOT NULL,
    id          INTEGER NOT NULL, -- of the delivery
    message_id  INTEGER NOT NULL,
    occurred_at INTEGER NOT NULL, -- 0: not known
    rank        INTEGER NOT NULL,
    family      TEXT    NOT NULL, -- empty: it replaces nothing
    final       INTEGER NOT NULL,
    PRIMARY KEY (endpoint_id, lane, place)
) WITHOUT ROWID;

-- The newest states of each family that came into a lane of an endpoint which wants
-- only those: the newest final one, and the newest other one.
CREATE TABLE latest (
    endpoint_id INTEGER NOT NULL,
    lane        INTEGER NOT NULL,
    family      TEXT    NOT NULL,
    final       INTEGER NOT NULL,
    org_id      INTEGER NOT NULL,
    delivery_id INTEGER NOT NULL,
    message_id  INTEGER NOT NULL,
    place       INTEGER NOT NULL,
    occurred_at INTEGER NOT NULL,
    rank        INTEGER NOT NULL,
    PRIMARY KEY (endpoint_id, lane, family, final)
) WITHOUT ROWID;
CREATE INDEX latest_delivery ON latest (delivery_id);

-- +goose Down
-- A store is never taken back to nothing.
