-- How endpoints have been doing: a row for each that has failed, written when that
-- changes and at most once a second, never for each attempt. Times are milliseconds,
-- 0 is none.
--
-- sigpost: works with 2

-- +goose Up

CREATE TABLE health (
    endpoint_id     BIGINT  NOT NULL PRIMARY KEY,
    org_id          BIGINT  NOT NULL,
    failing_since   BIGINT  NOT NULL, -- first failure after the last success
    failures        BIGINT  NOT NULL, -- since then
    last_failure_at BIGINT  NOT NULL,
    last_success_at BIGINT  NOT NULL,
    warned          INTEGER NOT NULL, -- percent of the time after which it is disabled
    trips           INTEGER NOT NULL, -- of its breaker, in a row
    open_until      BIGINT  NOT NULL,
    healthy_until   BIGINT  NOT NULL, -- the last success before it began to fail
    -- Retries are brought forward whose clock began after recover_since and that were
    -- last tried before recover_from; a step was made at recover_at.
    recover_since   BIGINT  NOT NULL,
    recover_from    BIGINT  NOT NULL,
    recover_at      BIGINT  NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX health_failing ON health (failing_since) WHERE failing_since <> 0;
CREATE INDEX health_recovering ON health (recover_from) WHERE recover_from <> 0;

-- +goose Down
-- A store is never taken back to nothing.
