package store

// The statements of a batch: each is one round trip for many rows, given as arrays.
//
// By their documentation CockroachDB and YugabyteDB take their forms: arrays by unnest,
// statements that modify in WITH – CockroachDB as long as a statement modifies each table
// once – and ON CONFLICT. What they do not promise is what an INSERT … SELECT … ORDER BY is for here: to lock
// rows in one order, so that nodes do not wait for each other crosswise. They end one of
// the two instead, which is tried again (crossed). They need READ COMMITTED, under
// which who waited goes on with what the other has left; CockroachDB begins with another level.

// sqlAppend keeps a batch of events and gives those that were known, with the first
// of their messages.
//
// claimed takes the dedupe hashes. A hash that is there stays with its message
// while that is within the window; the row is locked all the same, so of equal
// events at once on several nodes the later ones wait here and find the first. Hashes
// are taken in their order, so that two nodes do not wait for each other
// crosswise. A twin is not the first in this batch with its hash.
const sqlAppend = `WITH u AS (SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[],
		$9::bigint[], $10::bigint[], $11::bigint[], $12::text[], $13::bigint[], $14::integer[], $15::text[], $16::text[], $17::bigint[], $18::bytea[],
		$19::boolean[], $20::boolean[], $39::boolean[])
	AS u (n, id, org_id, app_id, event_type, event_id, family, subjects, occurred_at, rank, received_at, headers, size, fanout, channels, tags, expires_at,
		hash, twin, redeliver, final)),
claimed AS (INSERT INTO dedupe AS o (hash, message_id, org_id) SELECT hash, id, org_id FROM u WHERE hash IS NOT NULL AND NOT twin ORDER BY hash
	ON CONFLICT (hash) DO UPDATE SET message_id = CASE WHEN o.message_id < $21 THEN excluded.message_id ELSE o.message_id END
	RETURNING hash, message_id),
known AS (SELECT u.n, u.id, u.org_id, u.received_at, u.redeliver, coalesce(c.message_id, u.id) AS first, u.twin OR coalesce(c.message_id, u.id) <> u.id AS again
	FROM u LEFT JOIN claimed c ON c.hash = u.hash),
kept AS (INSERT INTO messages (id, org_id, app_id, event_type, event_id, family, subjects, occurred_at, rank, received_at, headers, size, fanout, channels, tags, expires_at, final)
	SELECT u.id, u.org_id, app_id, event_type, nullif(event_id, ''), nullif(family, ''), nullif(subjects, ''), nullif(occurred_at, 0), rank, u.received_at, headers, size,
		fanout, nullif(channels, ''), nullif(tags, ''), nullif(expires_at, 0), CASE WHEN final THEN 1 ELSE 0 END
	FROM u JOIN known k ON k.n = u.n WHERE NOT k.again),
body AS (INSERT INTO bodies (message_id, org_id, body)
	SELECT k.id, k.org_id, b.body FROM unnest($1::integer[], $22::bytea[]) AS b (n, body) JOIN known k ON k.n = b.n WHERE NOT k.again),
delivery AS (INSERT INTO deliveries (id, org_id, message_id, endpoint_id, state, attempts, failures, next_at, since, holder, last_attempt, trigger, late, lane)
	SELECT d.id, d.org_id, k.first, d.endpoint_id, d.state, d.attempts, d.failures, d.next_at, d.since, d.holder, d.last_attempt,
		CASE WHEN k.again THEN 2 ELSE 0 END, CASE WHEN k.again THEN 1 ELSE 0 END, d.lane
	FROM unnest($23::integer[], $24::bigint[], $25::bigint[], $26::bigint[], $27::integer[], $28::integer[], $29::integer[], $30::bigint[], $31::bigint[],
		$32::bigint[], $33::bigint[], $40::bigint[]) AS d (n, id, org_id, endpoint_id, state, attempts, failures, next_at, since, holder, last_attempt, lane)
	JOIN known k ON k.n = d.n WHERE k.redeliver OR NOT k.again),
posting AS (INSERT INTO postings (owner_id, term, id)
	SELECT p.owner_id, p.term, p.id FROM unnest($34::integer[], $35::bigint[], $36::bigint[], $37::bigint[], $38::boolean[]) AS p (n, owner_id, term, id, of_message)
	JOIN known k ON k.n = p.n WHERE NOT k.again OR k.redeliver AND NOT p.of_message),
counted AS (INSERT INTO duplicates (message_id, org_id, count, last_at)
	SELECT first, min(org_id), count(*), max(received_at) FROM known WHERE again GROUP BY first ORDER BY first
	ON CONFLICT (message_id) DO UPDATE SET count = duplicates.count + excluded.count, last_at = greatest(duplicates.last_at, excluded.last_at)),
received AS (INSERT INTO counts (org_id, span, at, about_id, kind, node, n)
	SELECT org_id, 60000, $41::bigint, 0, 1, $42::integer, count(*) FROM known WHERE NOT again GROUP BY org_id ORDER BY org_id
	ON CONFLICT (org_id, span, at, about_id, kind, node) DO UPDATE SET n = counts.n + excluded.n)
SELECT n, first FROM known WHERE again`

// sqlKeys takes keys in their order, and gives what each stands for: what it is
// taken for now, or was within the window.
const sqlKeys = `INSERT INTO idempotency AS o (id, org_id, hash, request, message_id, status)
	SELECT id, org_id, hash, request, message_id, 0 FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[], $5::bigint[]) AS k (id, org_id, hash, request, message_id)
	ORDER BY hash
	ON CONFLICT (hash) DO UPDATE SET (id, org_id, request, message_id, status, answer) =
		(SELECT excluded.id, excluded.org_id, excluded.request, excluded.message_id, excluded.status, excluded.answer WHERE o.id < $6
		UNION ALL SELECT o.id, o.org_id, o.request, o.message_id, o.status, o.answer WHERE o.id >= $6)
	RETURNING id, hash, request, message_id`

// sqlSettle writes what came of attempts and gives the deliveries of which it did:
// those that are pending and still of the holder that is named. The list of keys
// says again what the join says: whatever the planner thinks of the tables, these rows are
// looked up and no others. Their lowest and highest key say it a third time, for that
// alone leaves partitions out when the statement runs. (+ 0 keeps the planner from the
// index of all that is pending, which looks small while there are no statistics.)
const sqlSettle = `WITH settled AS (UPDATE deliveries d SET state = r.state, attempts = r.attempts, failures = r.failures, next_at = r.next_at, holder = 0, last_attempt = r.last_attempt, trigger = 0,
		poison = greatest(d.poison, r.poison), lane = CASE WHEN r.poison = 2 THEN 0 ELSE d.lane END
	FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::integer[], $5::integer[], $6::bigint[], $7::bigint[], $20::integer[])
		AS r (id, holder, state, attempts, failures, next_at, last_attempt, poison)
	WHERE d.id = r.id AND d.holder = r.holder AND d.state + 0 = 1 AND d.id = ANY ($1::bigint[]) AND d.id BETWEEN $21 AND $22 RETURNING d.id, d.endpoint_id, d.last_attempt),
attempt AS (INSERT INTO attempts (id, org_id, delivery_id, previous, number, trigger, at, duration, outcome, status, response, reason)
	SELECT a.id, a.org_id, a.delivery_id, a.previous, a.number, a.trigger, a.at, a.duration, a.outcome, a.status, a.response, nullif(a.reason, '')
	FROM unnest($1::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::integer[], $12::integer[], $13::bigint[], $14::bigint[], $15::text[], $16::integer[],
		$17::bytea[], $18::text[]) AS a (delivery_id, id, org_id, previous, number, trigger, at, duration, outcome, status, response, reason)
	JOIN settled s ON s.id = a.delivery_id WHERE a.id <> 0),
posting AS (INSERT INTO postings (owner_id, term, id)
	SELECT s.endpoint_id, p.term, p.id FROM unnest($1::bigint[], $8::bigint[], $19::bigint[]) AS p (delivery_id, id, term) JOIN settled s ON s.id = p.delivery_id WHERE p.id <> 0),
counted AS (INSERT INTO counts (org_id, span, at, about_id, kind, node, n)
	SELECT c.org_id, 60000, $24::bigint, 0, c.kind, $25::integer, count(*) FROM unnest($1::bigint[], $9::bigint[], $23::integer[]) AS c (delivery_id, org_id, kind)
	JOIN settled s ON s.id = c.delivery_id WHERE c.kind <> 0 GROUP BY c.org_id, c.kind ORDER BY c.org_id, c.kind
	ON CONFLICT (org_id, span, at, about_id, kind, node) DO UPDATE SET n = counts.n + excluded.n)
SELECT id, last_attempt FROM settled`
