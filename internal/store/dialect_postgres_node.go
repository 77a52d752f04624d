package store

// The statements by which nodes live, hold and share. Who is alive is a matter of the
// database's clock, now(), which all of these engines have as the time at which a
// transaction began: each of these statements is one.

// living is the query of the incarnations that are alive.
func (p *postgres) living() string {
	return "SELECT id FROM incarnations WHERE seen_at > now() - " + interval(p.age)
}

// sqlDead gives the incarnations that are dead and still listed.
func (p *postgres) sqlDead() string {
	return "SELECT id FROM incarnations WHERE seen_at <= now() - " + interval(p.age) + " ORDER BY id"
}

// claimable begins a statement with the holders whose work may be taken.
func (p *postgres) claimable() string {
	return "WITH free (id) AS (SELECT 0::bigint UNION ALL SELECT id FROM incarnations WHERE seen_at <= now() - " + interval(p.age) + ") "
}

// sqlClaim takes an incarnation, an endpoint, a time and a limit. Rows are locked in
// LATERAL, a holder at a time, which keeps each look-up one range of an index. All of the
// engines have SKIP LOCKED; that CockroachDB and YugabyteDB take it in LATERAL, and lock
// no more than what comes out, is not known.
func (p *postgres) sqlClaim() string {
	return p.claimable() + `, alive AS (` + p.living() + ` AND id = ?1),
		due AS (SELECT d.id FROM alive, free, LATERAL (SELECT id, next_at FROM deliveries
				WHERE state = 1 AND endpoint_id = ?2 AND holder = free.id AND next_at <= CASE free.id WHEN 0 THEN ?3 ELSE 9223372036854775807 END
				ORDER BY next_at LIMIT ?4 FOR UPDATE SKIP LOCKED) AS d
			ORDER BY d.next_at LIMIT ?4)
		UPDATE deliveries SET holder = ?1 FROM due WHERE deliveries.id = due.id
		RETURNING deliveries.id, ` + deliveryRest
}

// sqlNext is when the first delivery of an endpoint that may be taken is due.
func (p *postgres) sqlNext() string {
	return p.claimable() + `SELECT min(CASE free.id WHEN 0 THEN d.next_at ELSE 1 END) FROM free, LATERAL (SELECT next_at FROM deliveries
		WHERE state = 1 AND endpoint_id = ? AND holder = free.id ORDER BY next_at LIMIT 1) AS d`
}

// sqlForgetIncarnations forgets those that are dead for long and hold nothing.
func (p *postgres) sqlForgetIncarnations() string {
	return "DELETE FROM incarnations WHERE seen_at < now() - " + interval(numberRest*p.age) + " AND id NOT IN (SELECT holder FROM deliveries WHERE state = 1)"
}

// sqlTakeNumber takes the number of a node and gives it.
func (p *postgres) sqlTakeNumber() string {
	return `INSERT INTO nodes (id, incarnation, seen_at)
		SELECT n, 1, now() FROM generate_series(0, 255) AS n LEFT JOIN nodes x ON x.id = n
			WHERE x.id IS NULL OR x.incarnation = 0 OR x.seen_at < now() - ` + interval(numberRest*p.age) + `
			ORDER BY coalesce(x.incarnation, 0) <> 0, x.seen_at NULLS FIRST, n LIMIT 1
		ON CONFLICT (id) DO UPDATE SET incarnation = excluded.incarnation, seen_at = excluded.seen_at RETURNING id`
}

const (
	sqlAddIncarnation  = "INSERT INTO incarnations (id, node, started_at, seen_at) VALUES (?, ?, ?, now())"
	sqlNameIncarnation = "UPDATE nodes SET incarnation = ?, seen_at = now(), schema = ?, session = '', behind = " + sqlBehind + " WHERE id = ?"
	sqlListDead        = "INSERT INTO incarnations (id, node, started_at, seen_at) VALUES (?, ?, ?, '-infinity') ON CONFLICT DO NOTHING"
	sqlEndIncarnation  = "UPDATE incarnations SET seen_at = '-infinity' WHERE id = ?"
	sqlGiveNumber      = "UPDATE nodes SET incarnation = 0, seen_at = now() WHERE id = ? AND incarnation = ?"
)

// sqlBehind is how far keys that are made now would be behind the database's clock, in
// milliseconds: what a beat took to get there, as a rule.
const sqlBehind = "greatest(0, CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) - ?)"

// sqlClock is the database's clock in microseconds.
const sqlClock = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"

// sqlBeat takes an incarnation, the time of keys that are made now, the name of this process's
// sessions and the number of a node. It gives the clock, and how many nodes live; nothing when
// the incarnation is dead already.
func (p *postgres) sqlBeat() string {
	return `WITH seen AS (UPDATE incarnations SET seen_at = now() WHERE id = ? AND seen_at > now() - ` + interval(p.age) + ` RETURNING id)
		UPDATE nodes SET behind = ` + sqlBehind + `, session = ?, seen_at = now() FROM seen WHERE nodes.id = ? AND nodes.incarnation = seen.id
		RETURNING ` + sqlClock + `, (SELECT count(*) FROM nodes AS n WHERE n.incarnation <> 0 AND n.seen_at > now() - ` + interval(p.age) + `)`
}

// sqlTakeDuty takes a name and an incarnation.
func (p *postgres) sqlTakeDuty() string {
	return `INSERT INTO duties AS d (name, holder) SELECT CAST(?1 AS TEXT), id FROM incarnations WHERE id = ?2 AND seen_at > now() - ` + interval(p.age/2) + `
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder WHERE d.holder = excluded.holder OR d.holder NOT IN (` + p.living() + `)`
}

// sqlTakeRequest takes a hash, a try and an incarnation. What this incarnation has
// already is left over: its process asks for a key once at a time.
func (p *postgres) sqlTakeRequest() string {
	return `INSERT INTO requests AS r (hash, id, holder) SELECT CAST(?1 AS BYTEA), CAST(?2 AS BIGINT), id FROM (` + p.living() + ` AND id = ?3) AS self
		ON CONFLICT (hash) DO UPDATE SET id = excluded.id, holder = excluded.holder
			WHERE r.holder = excluded.holder OR r.holder NOT IN (` + p.living() + `)`
}

// sqlLock keeps others who call it with the same number out until the transaction
// ends. CockroachDB has it since 2026; before that it is missing, and those of
// sessions say yes to everybody. YugabyteDB has it since v2025.1.
const sqlLock = "SELECT pg_advisory_xact_lock(?)"

// sqlNoIdleEnd lets a transaction be open for long without a statement.
const sqlNoIdleEnd = "SET LOCAL idle_in_transaction_session_timeout = 0"

// sqlSettled takes the name of our sessions and gives the time before which no row appears
// any more. In CockroachDB pg_stat_activity is empty and in YugabyteDB it has the sessions
// of one node of the database: there the live stream would pass rows over.
func (p *postgres) sqlSettled() string {
	return `SELECT CAST(extract(epoch FROM least(now(), min(xact_start))) * 1000 AS BIGINT) -
			(SELECT coalesce(max(behind), 0) FROM nodes WHERE seen_at > now() - ` + interval(p.age) + `)
		FROM pg_stat_activity WHERE datname = current_database() AND starts_with(application_name, ?) AND pid <> pg_backend_pid()`
}

// sqlEndSessions ends what nodes that are dead have left under way, and gives their numbers and
// how many sessions those were. Young sessions are of a node that is back and has not beaten yet:
// when the database was away for long, that is every node. Without pg_stat_activity of all nodes (see sqlSettled) it ends
// fewer, and what was cut off is waited for.
func (p *postgres) sqlEndSessions() string {
	return `SELECT coalesce(string_agg(DISTINCT CAST(n.id AS TEXT), ', '), ''), count(CASE WHEN pg_terminate_backend(a.pid) THEN 1 END)
		FROM nodes n JOIN pg_stat_activity a ON a.application_name = n.session AND a.datname = current_database() AND a.usename = current_user
		WHERE n.session <> '' AND n.incarnation <> 0 AND n.seen_at <= now() - ` + interval(p.age) + ` AND a.backend_start <= now() - ` + interval(p.young)
}

// sqlLockTimeout, and a number of milliseconds, bounds how long a session waits for a lock.
const sqlLockTimeout = "SET lock_timeout = "

// sqlLockPatiently lets a transaction wait for its turn, however long.
const sqlLockPatiently = "SET LOCAL lock_timeout = 0"

// sqlOlderNodes takes a schema, and gives the numbers of the nodes that live and were built for
// an older one; built is where it says for which.
func (p *postgres) sqlOlderNodes(built string) string {
	return "SELECT coalesce(string_agg(CAST(id AS TEXT), ', ' ORDER BY id), '') FROM nodes WHERE incarnation <> 0 AND seen_at > now() - " + interval(p.age) + " AND " + built + " < ?"
}

// sqlLockSetting bounds how long the statements of a migration wait for a lock.
const sqlLockSetting = "lock_timeout"
