package store

// The statements of lanes (postgres_lane.go): each is one round trip for many lanes,
// given as arrays. CockroachDB and YugabyteDB document these forms; that rows are locked in
// the order of an INSERT … SELECT … ORDER BY they do not promise, and end one of two that
// wait for each other crosswise, which is tried again (crossed).

// sqlLockLanes locks the rows of lanes and makes those that are missing. A row that is there
// is locked and not changed.
const sqlLockLanes = `INSERT INTO lanes AS l (endpoint_id, lane, org_id, head, message_id, place, occurred_at, rank, family, final, last)
	SELECT endpoint_id, lane, org_id, 0, 0, 0, 0, 0, '', 0, 0 FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS t (endpoint_id, lane, org_id)
	ORDER BY endpoint_id, lane
	ON CONFLICT (endpoint_id, lane) DO UPDATE SET head = l.head WHERE false`

// What is read of many lanes is looked up for each of them: OFFSET and LIMIT keep the
// planner from reading whole tables instead.
const (
	sqlReadLanes = `SELECT t.n, l.head, l.message_id, l.place, l.occurred_at, l.rank, l.family, l.final <> 0, l.last
		FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS t (endpoint_id, lane, n),
			LATERAL (SELECT * FROM lanes l WHERE l.endpoint_id = t.endpoint_id AND l.lane = t.lane OFFSET 0) AS l`
	sqlReadTurns = `SELECT t.n, w.id, w.message_id, w.place, w.occurred_at, w.rank, w.family, w.final <> 0
		FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS t (endpoint_id, lane, n),
			LATERAL (SELECT * FROM turns w WHERE w.endpoint_id = t.endpoint_id AND w.lane = t.lane ORDER BY w.place LIMIT $3) AS w
		ORDER BY t.n, w.place`
	sqlReadLatest = `SELECT t.n, s.family, s.final <> 0, s.delivery_id, s.message_id, s.place, s.occurred_at, s.rank
		FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS t (endpoint_id, lane, n),
			LATERAL (SELECT * FROM latest s WHERE s.endpoint_id = t.endpoint_id AND s.lane = t.lane OFFSET 0) AS s`
	sqlReadEndpoints = "SELECT id, state, settings FROM endpoints WHERE id = ANY ($1::bigint[])"
	// Claims pass over a row that is locked, so who has the head in memory stays as it is.
	sqlReadHeads = "SELECT id, state, attempts, next_at, holder FROM deliveries WHERE id = ANY ($1::bigint[]) ORDER BY id FOR UPDATE"
)

// The keys stand twice where deliveries are changed, as in sqlSettle.
const (
	sqlCancelOutdated = `UPDATE deliveries d SET state = 4, holder = 0, superseded = x.by FROM unnest($1::bigint[], $2::bigint[]) AS x (id, by)
		WHERE d.id = x.id AND d.id = ANY ($1::bigint[]) AND d.state + 0 IN (1, 5, 6)`
	sqlDemote  = "UPDATE deliveries SET state = 6, holder = 0 WHERE id = ANY ($1::bigint[]) AND state + 0 IN (1, 5)"
	sqlPromote = `UPDATE deliveries SET state = x.to_state, next_at = x.at, since = x.at, holder = x.by
		FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::bigint[]) AS x (key, at, to_state, by)
		WHERE id = x.key AND id = ANY ($1::bigint[]) AND state + 0 = 6 RETURNING ` + deliveryColumns
	sqlLeave = `DELETE FROM turns w USING unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS x (endpoint_id, lane, place)
		WHERE w.endpoint_id = x.endpoint_id AND w.lane = x.lane AND w.place = x.place`
	sqlWait = `INSERT INTO turns (endpoint_id, lane, place, org_id, id, message_id, occurred_at, rank, family, final)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::text[], $10::integer[])`
	sqlNoteLatest = `INSERT INTO latest (endpoint_id, lane, place, org_id, delivery_id, message_id, occurred_at, rank, family, final)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::text[], $10::integer[])
		ON CONFLICT (endpoint_id, lane, family, final) DO UPDATE SET delivery_id = excluded.delivery_id, message_id = excluded.message_id, place = excluded.place,
			occurred_at = excluded.occurred_at, rank = excluded.rank`
	sqlWriteLanes = `UPDATE lanes l SET place = x.place, head = x.head, message_id = x.message_id, occurred_at = x.occurred_at, rank = x.rank, family = x.family, final = x.final, last = x.last
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[], $9::integer[], $10::bigint[])
			AS x (endpoint_id, lane, place, head, message_id, occurred_at, rank, family, final, last)
		WHERE l.endpoint_id = x.endpoint_id AND l.lane = x.lane`
	sqlEndLanes = `DELETE FROM lanes l USING unnest($1::bigint[], $2::bigint[]) AS x (endpoint_id, lane) WHERE l.endpoint_id = x.endpoint_id AND l.lane = x.lane`
)

// sqlCancelParked cancels deliveries that left their lane and that nobody has in memory.
func (p *postgres) sqlCancelParked() string {
	return `UPDATE deliveries d SET state = 4, holder = 0, superseded = x.by FROM unnest($1::bigint[], $2::bigint[]) AS x (id, by)
		WHERE d.id = x.id AND d.id = ANY ($1::bigint[]) AND d.state + 0 IN (1, 5) AND d.lane = 0 AND d.poison = 2 AND d.holder NOT IN (` + p.living() + `)`
}

// sqlNewestOfMany finds the newest messages about each of many subjects.
const sqlNewestOfMany = `SELECT t.n, c.id FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS t (owner_id, term, n),
	LATERAL (SELECT id FROM postings p WHERE p.owner_id = t.owner_id AND p.term = t.term ORDER BY id DESC LIMIT $3) AS c`

const sqlReadKept = "SELECT id, app_id, family, subjects, coalesce(occurred_at, 0), rank FROM messages WHERE family IS NOT NULL AND id = ANY ($1::bigint[])"
