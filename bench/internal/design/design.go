// Package design compares, in plain SQL, ways to keep what is still to be delivered in
// PostgreSQL. The product has indexes on deliveries for it, so that each change of state
// writes a new row and new index entries. A side table could have them instead. Nothing
// here is part of the product: the tables are made for the comparison, without partitions,
// dedupe keys and postings, which are the same in all.
package design

// Design is one way, as SQL.
type Design struct {
	Name string
	// more is made besides what all have.
	more []string
	// side is the table with what is open; empty when deliveries are looked at for it.
	side string

	keep, settle, claim string
}

// Designs are the ways that are compared, today's first.
func Designs() []Design {
	return []Design{
		{
			Name: "indexes on deliveries",
			more: []string{
				"CREATE INDEX ON deliveries (endpoint_id, holder, next_at) WHERE state = 1",
				"CREATE INDEX ON deliveries (endpoint_id, id) WHERE state = 5",
				"CREATE INDEX ON deliveries (endpoint_id, id) WHERE state = 2",
				"CREATE INDEX ON deliveries (endpoint_id, id) WHERE state = 4",
				"CREATE INDEX ON deliveries (message_id) WHERE late = 1",
			},
			keep: "WITH " + sqlKeep,
			settle: `WITH settled AS (UPDATE deliveries d SET state = 0, attempts = 1, holder = 0, last_attempt = r.attempt
				FROM unnest($1::bigint[], $2::bigint[]) AS r (id, attempt)
				WHERE d.id = r.id AND d.id = ANY ($1::bigint[]) AND d.holder = $3::bigint AND d.state + 0 = 1 RETURNING d.id, d.last_attempt)` + sqlAttempts,
			claim: `UPDATE deliveries SET holder = $1 FROM (SELECT id FROM deliveries
				WHERE state = 1 AND endpoint_id = $2 AND holder = 0 AND next_at <= $3 ORDER BY next_at LIMIT $4 FOR UPDATE SKIP LOCKED) AS due
				WHERE deliveries.id = due.id RETURNING deliveries.id, message_id, attempts, failures, since, last_attempt`,
		},
		side("side table", ""),
		// Rows that are changed soon after they were written find room in their page only
		// where it was left for all of them.
		side("side table, pages half full", "ALTER TABLE deliveries SET (fillfactor = 50)"),
	}
}

// side is a side table of what is open. Who holds it stands there as well, so deliveries change
// once, when they are settled.
func side(name, alter string) Design {
	return Design{
		Name: name,
		side: "pending",
		more: []string{
			"CREATE TABLE pending (delivery_id BIGINT NOT NULL PRIMARY KEY, endpoint_id BIGINT NOT NULL, holder BIGINT NOT NULL, next_at BIGINT NOT NULL, state INTEGER NOT NULL) WITH (autovacuum_enabled = off)",
			"CREATE INDEX ON pending (endpoint_id, holder, next_at)",
			alter,
		},
		keep: `WITH open AS (INSERT INTO pending (delivery_id, endpoint_id, holder, next_at, state)
				SELECT id + 1, $4::bigint, $5::bigint, $3::bigint, 1 FROM unnest($1::bigint[]) AS k (id)), ` + sqlKeep,
		settle: `WITH gone AS (DELETE FROM pending WHERE delivery_id = ANY ($1::bigint[]) AND holder = $3::bigint RETURNING delivery_id),
			settled AS (UPDATE deliveries d SET state = 0, attempts = 1, last_attempt = r.attempt
				FROM unnest($1::bigint[], $2::bigint[]) AS r (id, attempt) JOIN gone ON gone.delivery_id = r.id
				WHERE d.id = r.id AND d.id = ANY ($1::bigint[]) RETURNING d.id, d.last_attempt)` + sqlAttempts,
		claim: `WITH held AS (UPDATE pending SET holder = $1 FROM (SELECT delivery_id FROM pending
				WHERE endpoint_id = $2 AND holder = 0 AND next_at <= $3 ORDER BY next_at LIMIT $4 FOR UPDATE SKIP LOCKED) AS due
				WHERE pending.delivery_id = due.delivery_id RETURNING pending.delivery_id)
			SELECT id, message_id, attempts, failures, since, last_attempt FROM deliveries WHERE id = ANY (ARRAY (SELECT delivery_id FROM held))`,
	}
}

// tables are those that all designs have, as in the product but for their partitions.
// Autovacuum does not touch them: it would come in one run and not in another, so what
// it has to do is done once, and counted, at the end.
func tables() []string {
	return []string{
		`CREATE TABLE messages (id BIGINT NOT NULL PRIMARY KEY, org_id BIGINT NOT NULL, app_id BIGINT NOT NULL, event_type TEXT NOT NULL, received_at BIGINT NOT NULL,
		headers TEXT NOT NULL, size BIGINT NOT NULL, fanout INTEGER NOT NULL) WITH (autovacuum_enabled = off)`,
		"CREATE TABLE bodies (message_id BIGINT NOT NULL PRIMARY KEY, org_id BIGINT NOT NULL, body BYTEA NOT NULL) WITH (autovacuum_enabled = off)",
		`CREATE TABLE deliveries (id BIGINT NOT NULL PRIMARY KEY, org_id BIGINT NOT NULL, message_id BIGINT NOT NULL, endpoint_id BIGINT NOT NULL, state INTEGER NOT NULL,
		attempts INTEGER NOT NULL, failures INTEGER NOT NULL, next_at BIGINT NOT NULL, since BIGINT NOT NULL, holder BIGINT NOT NULL, last_attempt BIGINT NOT NULL,
		trigger INTEGER NOT NULL, late INTEGER NOT NULL) WITH (fillfactor = 80, autovacuum_enabled = off)`,
		`CREATE TABLE attempts (id BIGINT NOT NULL PRIMARY KEY, org_id BIGINT NOT NULL, delivery_id BIGINT NOT NULL, previous BIGINT NOT NULL, number INTEGER NOT NULL,
		at BIGINT NOT NULL, duration BIGINT NOT NULL, outcome TEXT NOT NULL, status INTEGER NOT NULL) WITH (autovacuum_enabled = off)`,
	}
}

// The parts that are common. A delivery has the key after that of its message.
const (
	// sqlKeep takes keys, bodies, a time, an endpoint and a holder.
	sqlKeep = `kept AS (INSERT INTO messages SELECT id, 1, 2, 'veriff.decision.approved', $3::bigint,
			'[["Content-Type","application/json"],["X-Hmac-Signature","01fa3ded011bfce75672c99877a6cc1cf7aeaeda0ccb6b43fc21b60f595063c2"]]', 1024, 1 FROM unnest($1::bigint[]) AS k (id)),
		body AS (INSERT INTO bodies SELECT id, 1, body FROM unnest($1::bigint[], $2::bytea[]) AS b (id, body))
		INSERT INTO deliveries SELECT id + 1, 1, id, $4::bigint, 1, 0, 0, $3::bigint, $3::bigint, $5::bigint, 0, 0, 0 FROM unnest($1::bigint[]) AS k (id)`
	// sqlAttempts takes keys of deliveries and of attempts, a holder and a time.
	sqlAttempts = ` INSERT INTO attempts SELECT last_attempt, 1, id, 0, 1, $4::bigint, 1000, 'delivered', 200 FROM settled`
)
