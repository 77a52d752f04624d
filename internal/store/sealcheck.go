package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sigpost/sigpost/internal/hook"
)

// checkContext binds the value that says under which key a store is sealed.
const checkContext = "check"

const sealCheck = "seal_check"

// checkSeal refuses a store that is sealed under another key, before anything is
// read or written with this one. The first start with a key leaves the mark.
func (s *Store) checkSeal(ctx context.Context) error {
	var mark []byte
	err := s.write.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = ?", sealCheck).Scan(&mark)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return s.markSeal(ctx)
	case err != nil:
		return fmt.Errorf("read seal: %w", err)
	case s.seal == nil:
		return errOtherKey
	}
	if _, err := s.seal.Open(mark, checkContext); err != nil {
		return errOtherKey
	}
	return nil
}

var errOtherKey = hook.Errorf(hook.CodeConflict, "the secrets in this store are sealed under another master key; start with that one (SIGPOST_MASTER_KEY, or the file master.key in the data directory)")

func (s *Store) markSeal(ctx context.Context) error {
	if s.seal == nil {
		return nil
	}
	mark, err := s.seal.Seal([]byte("sigpost"), checkContext)
	if err != nil {
		return fmt.Errorf("mark seal: %w", err)
	}
	const q = "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
	if _, err := s.write.ExecContext(ctx, q, sealCheck, mark); err != nil {
		return fmt.Errorf("mark seal: %w", err)
	}
	return nil
}

// SealWith seals with another key from now on. It must open what the one before
// sealed. Nothing else may use the store meanwhile.
func (s *Store) SealWith(x Sealer) { s.seal = x }

// Sealed says whether there is a store in a directory whose secrets are sealed,
// so that a key which is missing is not taken for one that was never made.
func Sealed(ctx context.Context, dir string) (bool, error) {
	path := filepath.Join(dir, databaseName)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	db, err := openSQLite(path, false)
	if err != nil {
		return false, err
	}
	defer db.Close()
	var found int
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM meta WHERE name = ?", sealCheck).Scan(&found); err != nil {
		return false, nil // it is no store of ours, or damaged: opening it says so
	}
	return found > 0, nil
}
