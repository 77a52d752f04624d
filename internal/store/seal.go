package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"

	"github.com/pressly/goose/v3"

	"github.com/sigpost/sigpost/internal/hook"
)

// What a sealed value is bound to.
const (
	secretContext  = "secret"
	headersContext = "headers"
	answerContext  = "answer"
)

// The first byte of a column says whether the rest is sealed. JSON lists in
// clear have no mark: they begin with '['.
const (
	clearMark  = 0
	sealedMark = 1
)

// sealBlob is plain as a column keeps it: sealed where there is a Sealer.
func (s *Store) sealBlob(plain []byte, context string) ([]byte, error) {
	if s.seal != nil {
		sealed, err := s.seal.Seal(plain, context)
		if err != nil {
			return nil, fmt.Errorf("seal %s: %w", context, err)
		}
		return append([]byte{sealedMark}, sealed...), nil
	}
	if len(plain) > 0 && plain[0] == '[' {
		return plain, nil
	}
	return append([]byte{clearMark}, plain...), nil
}

func (s *Store) openBlob(kept []byte, context string) ([]byte, error) {
	if len(kept) == 0 {
		return nil, nil
	}
	switch kept[0] {
	case sealedMark:
		return s.unseal(kept[1:], context)
	case clearMark:
		return kept[1:], nil
	}
	return kept, nil
}

func (s *Store) unseal(sealed []byte, context string) ([]byte, error) {
	if s.seal == nil {
		return nil, hook.Errorf(hook.CodeUnavailable, "open %s: the store was written with an encryption key; start with the same key", context)
	}
	plain, err := s.seal.Open(sealed, context)
	if err != nil {
		return nil, hook.Errorf(hook.CodeUnavailable, "open %s: %w", context, err)
	}
	return plain, nil
}

// sealSecret is a secret as table secrets keeps it: value and sealed.
func (s *Store) sealSecret(secret hook.Secret) (value any, sealed int, err error) {
	if s.seal == nil {
		return []byte(secret.Reveal()), 0, nil
	}
	raw, err := s.seal.Seal([]byte(secret.Reveal()), secretContext)
	if err != nil {
		return nil, 0, fmt.Errorf("seal secret: %w", err)
	}
	return raw, 1, nil
}

func (s *Store) openSecret(value []byte, sealed bool) (hook.Secret, error) {
	if !sealed {
		return hook.Secret(value), nil
	}
	plain, err := s.unseal(value, secretContext)
	return hook.Secret(plain), err
}

func (s *Store) sealHeaders(headers []hook.Header) ([]byte, error) {
	if len(headers) == 0 {
		return nil, nil
	}
	return s.sealBlob([]byte(encodeHeaders(headers)), headersContext)
}

func (s *Store) openHeaders(kept []byte) ([]hook.Header, error) {
	raw, err := s.openBlob(kept, headersContext)
	if err != nil || len(raw) == 0 {
		return nil, err
	}
	return decodeHeaders(raw)
}

// migrateSecretly brings the schema up to date and seals what an older version,
// or one without a key, left in clear. Meanwhile SQLite overwrites what it
// deletes, and the log is emptied after: else the clear text would stay on disk.
func (s *Store) migrateSecretly(ctx context.Context, o Options) error {
	files, err := o.files(sqliteMigrations, "migrations")
	if err != nil {
		return err
	}
	if _, err := s.write.ExecContext(ctx, "PRAGMA secure_delete = ON"); err != nil {
		return fmt.Errorf("overwrite deleted data: %w", err)
	}
	if err := s.migrate(ctx, goose.DialectSQLite3, s.write, files); err != nil {
		return err
	}
	n, err := s.sealOld(ctx)
	if err != nil {
		return err
	}
	if n > 0 {
		if _, err := s.write.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
			return fmt.Errorf("empty the log: %w", err)
		}
	}
	if _, err := s.write.ExecContext(ctx, "PRAGMA secure_delete = OFF"); err != nil {
		return fmt.Errorf("overwrite deleted data: %w", err)
	}
	return nil
}

// sealOld moves headers out of the settings of endpoints, where the first
// version had them, and seals what is in clear.
func (s *Store) sealOld(ctx context.Context) (n int, err error) {
	if err := s.checkSeal(ctx); err != nil {
		return 0, err
	}
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return 0, fmt.Errorf("seal secrets: %w", err)
	}
	defer conn.Close()
	begin := "BEGIN IMMEDIATE"
	if s.pg != nil {
		begin = "BEGIN"
	}
	if _, err := conn.ExecContext(ctx, begin); err != nil {
		return 0, fmt.Errorf("seal secrets: %w", err)
	}
	if s.pg == nil { // which never had them there
		n, err = s.moveHeaders(ctx, conn)
	}
	for _, v := range sealedValues {
		if err != nil || s.seal == nil {
			break
		}
		var step int
		step, _, err = s.resealStep(ctx, conn, v, v.clear, 0, math.MaxInt32)
		n += step
	}
	if err != nil {
		_, _ = conn.ExecContext(ctx, "ROLLBACK") // the store does not open, and err says why
		return 0, err
	}
	if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
		return 0, fmt.Errorf("seal secrets: %w", err)
	}
	return n, nil
}

func (s *Store) moveHeaders(ctx context.Context, conn *sql.Conn) (n int, err error) {
	const old = `SELECT id FROM endpoints WHERE json_extract(settings, '$.headers') IS NOT NULL`
	keys, err := queryKeys(ctx, conn, old)
	if err != nil {
		return 0, fmt.Errorf("read headers of endpoints: %w", err)
	}
	for _, k := range keys {
		var settings []byte
		if err := conn.QueryRowContext(ctx, "SELECT settings FROM endpoints WHERE id = ?", k).Scan(&settings); err != nil {
			return 0, fmt.Errorf("read headers of endpoint %d: %w", k, err)
		}
		var x struct {
			Headers []hook.Header `json:"headers"`
		}
		if err := json.Unmarshal(settings, &x); err != nil {
			return 0, fmt.Errorf("read headers of endpoint %d: %w", k, err)
		}
		headers, err := s.sealHeaders(x.Headers)
		if err != nil {
			return 0, err
		}
		const move = "UPDATE endpoints SET settings = json_remove(settings, '$.headers'), headers = ? WHERE id = ?"
		if err := one(conn.ExecContext(ctx, move, headers, k)); err != nil {
			return 0, fmt.Errorf("move headers of endpoint %d: %w", k, err)
		}
	}
	return len(keys), nil
}

// sealedValue is a column that holds sealed values.
type sealedValue struct {
	context string
	// read has id, value and whether it is sealed, of rows after a key.
	read, clear string
	write       string
}

var sealedValues = [...]sealedValue{
	{secretContext, "SELECT id, value, sealed FROM secrets WHERE id > ? ORDER BY id LIMIT ?",
		"SELECT id, value, sealed FROM secrets WHERE id > ? AND sealed = 0 ORDER BY id LIMIT ?",
		"UPDATE secrets SET value = ?, sealed = 1 WHERE id = ?"},
	{headersContext, "SELECT id, headers, NULL FROM endpoints WHERE id > ? AND headers IS NOT NULL ORDER BY id LIMIT ?",
		"SELECT id, headers, NULL FROM endpoints WHERE id > ? AND substr(headers, 1, 1) <> x'01' ORDER BY id LIMIT ?",
		"UPDATE endpoints SET headers = ? WHERE id = ?"},
	{answerContext, "SELECT id, answer, NULL FROM idempotency WHERE id > ? AND answer IS NOT NULL ORDER BY id LIMIT ?",
		"SELECT id, answer, NULL FROM idempotency WHERE id > ? AND substr(answer, 1, 1) <> x'01' ORDER BY id LIMIT ?",
		"UPDATE idempotency SET answer = ? WHERE id = ?"},
}

// Reseal opens every sealed value and seals it anew, in small steps between
// other writes: after that an old key that the Sealer still opens with may go.
// It says how many values there were.
func (s *Store) Reseal(ctx context.Context) (int, error) {
	if s.seal == nil {
		return 0, hook.Errorf(hook.CodeInvalid, "there is no encryption key; set one, then seal anew")
	}
	if err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		mark, err := s.seal.Seal([]byte("sigpost"), checkContext)
		if err != nil {
			return err
		}
		return one(tx.ExecContext(ctx, "UPDATE meta SET value = ? WHERE name = ?", mark, sealCheck))
	}); err != nil {
		return 0, fmt.Errorf("seal anew: %w", err)
	}
	total := 0
	for _, v := range sealedValues {
		for after, n := hook.Key(0), resealRows; n == resealRows; total += n {
			err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) (err error) {
				var last hook.Key
				if n, last, err = s.resealStep(ctx, tx, v, v.read, after, resealRows); err == nil {
					after = last
				}
				return err
			})
			if err != nil {
				return total, fmt.Errorf("seal anew: %w", err)
			}
		}
	}
	return total, nil
}

// resealRows bounds one transaction of Reseal.
const resealRows = 500

// resealStep seals the values of up to limit rows after a key anew. All are
// opened and sealed before the first is written.
func (s *Store) resealStep(ctx context.Context, tx *sql.Conn, v sealedValue, query string, after hook.Key, limit int) (n int, last hook.Key, err error) {
	keys, values, err := s.openValues(ctx, tx, v, query, after, limit)
	if err != nil {
		return 0, 0, err
	}
	for i, plain := range values {
		if v.context == secretContext {
			values[i], err = s.seal.Seal(plain, v.context)
		} else {
			values[i], err = s.sealBlob(plain, v.context)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("seal %s: %w", v.context, err)
		}
	}
	for i, k := range keys {
		if err := one(tx.ExecContext(ctx, v.write, values[i], k)); err != nil {
			return 0, 0, fmt.Errorf("keep %s: %w", v.context, err)
		}
		last = k
	}
	return len(keys), last, nil
}

func (s *Store) openValues(ctx context.Context, tx *sql.Conn, v sealedValue, query string, after hook.Key, limit int) (keys []hook.Key, values [][]byte, err error) {
	rows, err := tx.QueryContext(ctx, query, after, limit)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", v.context, err)
	}
	defer rows.Close()
	for rows.Next() {
		var k hook.Key
		var kept []byte
		var sealed sql.NullBool
		if err := rows.Scan(&k, &kept, &sealed); err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", v.context, err)
		}
		plain := kept
		switch {
		case !sealed.Valid:
			plain, err = s.openBlob(kept, v.context)
		case sealed.Bool:
			plain, err = s.unseal(kept, v.context)
		}
		if err != nil {
			return nil, nil, err
		}
		keys, values = append(keys, k), append(values, plain)
	}
	return keys, values, rows.Err()
}
