package store

import (
	"fmt"

	"github.com/sigpost/sigpost/internal/hook"
)

// What is done to tables rather than to rows, and how nodes tell each other. The other
// half of this is in migrations_postgres: partitions by hash, the default ones, storage
// settings, functions that SQLite has built in, and a block of PL/pgSQL.

// partitionedTables are always worked on in this order, so nodes do not wait for each
// other crosswise. Rows of deliveries change once or more after they were made,
// and what changes should find room in its own page.
func partitionedTables() []partitioned {
	const written = "autovacuum_vacuum_insert_scale_factor = 0.2, autovacuum_analyze_scale_factor = 0.1"
	return []partitioned{
		{"messages", "id", written},
		{"bodies", "message_id", written},
		{"deliveries", "id", "fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05"},
		{"attempts", "id", written},
	}
}

// sqlIsPartition says of a name whether it is a partition's.
const sqlIsPartition = "SELECT 1 FROM pg_inherits WHERE inhrelid = to_regclass(?)"

// sqlPartitions takes a table and gives the names of its partitions, in order.
const sqlPartitions = "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass(?) ORDER BY c.relname"

// sqlDrop are the statements that drop one partition, in one transaction: the lock is waited
// for only as long as others may wait behind it. CockroachDB has no partitions to drop.
func sqlDrop(name string) []string {
	return []string{"SET LOCAL lock_timeout = '2s'", "DROP TABLE IF EXISTS " + name}
}

// sqlMake are the statements that make one partition, in one transaction. CockroachDB has
// no child tables, so it has neither ATTACH nor a default partition, and refuses the
// autovacuum settings; a port may leave the whole of it out. YugabyteDB has partitions as
// here, and refuses LOCK TABLE where locks on tables are not switched on.
func (p partitioned) sqlMake(name string, from, to hook.Key) []string {
	return []string{
		"SET LOCAL lock_timeout = '10s'", // rather later than everybody waiting behind us
		fmt.Sprintf("CREATE TABLE %s (LIKE %s INCLUDING ALL) WITH (%s)", name, p.table, p.settings),
		fmt.Sprintf("LOCK TABLE %s_default IN ACCESS EXCLUSIVE MODE", p.table),
		fmt.Sprintf("WITH moved AS (DELETE FROM %[1]s_default WHERE %[2]s >= %[3]d AND %[2]s < %[4]d RETURNING *) INSERT INTO %[5]s SELECT * FROM moved", p.table, p.key, from, to, name),
		fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%d) TO (%d)", p.table, name, from, to),
	}
}

// sqlColumns takes a table and gives its columns with their types.
const sqlColumns = `SELECT attname, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped ORDER BY attnum`

// sqlVersion is the version of the server. Engines that speak PostgreSQL's protocol give
// that of the PostgreSQL which they are like.
const sqlVersion = "SELECT CAST(current_setting('server_version_num') AS INTEGER)"

// channel is the name under which nodes listen. Databases have their own. CockroachDB has
// no LISTEN, YugabyteDB has it since v2025.2.3 where it is switched on; without it nodes
// poll.
const (
	channel   = "sigpost"
	sqlListen = "LISTEN " + channel
	sqlNotify = "SELECT pg_notify(?, ?)" // takes channel and what is told
)

// sqlTell takes a random number and what is told.
const sqlTell = "INSERT INTO notices (at, id, kind, key) VALUES (clock_timestamp(), ?, ?, ?)"

// sqlNotices reads what was told since lookBack ago.
func sqlNotices() string {
	return "SELECT id, kind, key FROM notices WHERE at > now() - " + interval(lookBack) + " ORDER BY at, id"
}

// sqlForgetNotices forgets what is older than noticeAge.
func sqlForgetNotices() string {
	return "DELETE FROM notices WHERE at < now() - " + interval(noticeAge)
}
