package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	sqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Everything that only SQLite does stands in this file.

// oldestSQLite has the mend for the reset of a write-ahead log that could lose
// committed pages (https://sqlite.org/wal.html, "The WAL-reset bug").
const oldestSQLite = 3_051_003

const (
	// walPages is the length of the write-ahead log, in pages of 4 KiB, at which it is
	// copied into the database. Longer logs write each page less often; this one is 32 MiB.
	walPages = 8000
	// writerCacheKiB is the page cache of the writer. Rows arrive in order, so what is
	// written next is near what was written last; a larger cache only grows.
	writerCacheKiB = 16 << 10
	readerCacheKiB = 4 << 10
)

// openSQLite opens one pool of connections on the database file at path.
func openSQLite(path string, writer bool) (*sql.DB, error) {
	pragmas := []string{
		"busy_timeout(10000)", // first: the others may have to wait
		"journal_mode(WAL)",
		"synchronous(NORMAL)", // commits are synced by disk.go, before anybody is answered
		"foreign_keys(ON)",
		"mmap_size(0)",
		"journal_size_limit(67108864)",
		"wal_autocheckpoint(0)", // the checkpointer does it, off the commit path
		"temp_store(MEMORY)",
	}
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		// These count only before the first table is made, and setting them
		// later writes to a file that may be damaged.
		pragmas = slices.Insert(pragmas, 1, "page_size(4096)", "auto_vacuum(INCREMENTAL)")
	}
	if writer {
		pragmas = append(pragmas, fmt.Sprintf("cache_size(-%d)", writerCacheKiB))
	} else {
		pragmas = append(pragmas, fmt.Sprintf("cache_size(-%d)", readerCacheKiB), "query_only(ON)")
	}
	q := url.Values{"_pragma": pragmas}
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	if writer {
		db.SetMaxOpenConns(1)
	} else {
		db.SetMaxOpenConns(4)
	}
	db.SetMaxIdleConns(4)
	return db, nil
}

// checkSQLite refuses a library with known loss of data and a damaged file.
func checkSQLite(ctx context.Context, db *sql.DB, path string) error {
	var version string
	if err := db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		return err
	}
	var major, minor, patch int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); err != nil {
		return fmt.Errorf("read SQLite version %q: %w", version, err)
	}
	if major*1_000_000+minor*1_000+patch < oldestSQLite {
		return fmt.Errorf("SQLite %s is built in, 3.51.3 or newer is needed", version)
	}
	var vacuum int
	if err := db.QueryRowContext(ctx, "PRAGMA auto_vacuum").Scan(&vacuum); err != nil {
		return err
	}
	if vacuum != 2 {
		return errors.New("the database was made by another program: auto_vacuum is not incremental")
	}
	return checkPages(ctx, db, path)
}

// checkedSize is the largest database whose every page is read at the start: it takes
// about a quarter of a second. Larger ones are checked by reading what is needed.
const checkedSize = 64 << 20

func checkPages(ctx context.Context, db *sql.DB, path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Size() > checkedSize {
		return err
	}
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s", errDamaged, verdict)
	}
	return nil
}

var errDamaged = errors.New("quick_check")

// ownTrouble says whether err lies with the disk or the database as a whole,
// so that trying the statement again by itself is no use.
func ownTrouble(err error) bool {
	if postgresTrouble(err) {
		return true
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM:
		return true
	}
	return false
}

// damaged says whether err means that the file is not a whole database.
func damaged(err error) bool {
	if errors.Is(err, errDamaged) {
		return true
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	code := e.Code() & 0xff
	return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
}

// placeholders writes n groups of columns question marks: (?,?),(?,?).
func placeholders(n, columns int) string {
	group := "(" + strings.Repeat("?,", columns-1) + "?)"
	return strings.Repeat(group+",", n-1) + group
}

// sqlFirstDue is, for each endpoint and holder that have something pending, when the
// first of it is due. On SQLite the index is asked once for each of these, so the cost
// is that of their number, not of the deliveries'. On PostgreSQL every partition
// would be asked each time, and reading the index from end to end costs less.
func (s *Store) sqlFirstDue() string {
	if s.pg != nil {
		return "(SELECT endpoint_id, holder, next_at FROM deliveries WHERE state = 1) AS due"
	}
	return `(WITH RECURSIVE spot (id) AS (
			SELECT id FROM (SELECT id FROM deliveries INDEXED BY deliveries_pending WHERE state = 1 ORDER BY endpoint_id, holder, next_at LIMIT 1)
			UNION ALL
			SELECT coalesce(
				(SELECT n.id FROM deliveries n INDEXED BY deliveries_pending WHERE n.state = 1 AND n.endpoint_id = d.endpoint_id AND n.holder > d.holder
					ORDER BY n.holder, n.next_at LIMIT 1),
				(SELECT n.id FROM deliveries n INDEXED BY deliveries_pending WHERE n.state = 1 AND n.endpoint_id > d.endpoint_id
					ORDER BY n.endpoint_id, n.holder, n.next_at LIMIT 1))
			FROM spot CROSS JOIN deliveries d ON d.id = spot.id)
		SELECT d.endpoint_id, d.holder, d.next_at FROM spot CROSS JOIN deliveries d ON d.id = spot.id) AS due`
}

// sqlHolding is the endpoints that have held deliveries, each found by one look into the
// index on SQLite.
func (s *Store) sqlHolding() string {
	if s.pg != nil {
		return "SELECT DISTINCT endpoint_id FROM deliveries WHERE state = 5"
	}
	return `WITH RECURSIVE spot (endpoint) AS (
			SELECT min(endpoint_id) FROM deliveries INDEXED BY deliveries_held WHERE state = 5
			UNION ALL
			SELECT (SELECT min(endpoint_id) FROM deliveries INDEXED BY deliveries_held WHERE state = 5 AND endpoint_id > spot.endpoint)
			FROM spot WHERE spot.endpoint IS NOT NULL)
		SELECT endpoint FROM spot WHERE endpoint IS NOT NULL`
}
