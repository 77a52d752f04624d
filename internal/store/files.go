package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sigpost/sigpost/internal/hook"
)

const (
	databaseName = "sigpost.db"
	// markerName is a file that says that the database was complete once: an
	// empty one beside it has lost everything, and must not be begun anew.
	markerName = "format"
	marker     = "sigpost 1\n"
)

// checkFiles refuses a directory whose files cannot be whole, before SQLite
// sees them: what it cannot read of a write-ahead log it passes over without a
// word, and with it what was acknowledged.
func checkFiles(dir string) error {
	path := filepath.Join(dir, databaseName)
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return hook.Errorf(hook.CodeInvalid, "%s is not a file; name another data directory, or move it away", path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	empty := err != nil || info.Size() == 0
	if _, err := os.Stat(filepath.Join(dir, markerName)); err == nil && empty {
		return fmt.Errorf("%w: %s is missing or empty, but the directory was in use", errDamaged, databaseName)
	}
	log, err := os.Stat(path + "-wal")
	if errors.Is(err, fs.ErrNotExist) || err == nil && log.Size() == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if empty {
		return fmt.Errorf("%w: %s is missing or empty, but its write-ahead log is there", errDamaged, databaseName)
	}
	return checkLog(path + "-wal")
}

// checkLog checks the header of a write-ahead log: its magic number and its
// checksum (https://sqlite.org/fileformat2.html, "The WAL Header"). One of zeros
// was never written to.
func checkLog(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var head [56]byte // header, and the header of the first frame
	n, err := io.ReadFull(f, head[:])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if bytes.Equal(head[:n], make([]byte, n)) {
		return nil
	}
	magic := binary.BigEndian.Uint32(head[:])
	var order binary.ByteOrder = binary.LittleEndian
	if magic&1 == 1 {
		order = binary.BigEndian
	}
	var s0, s1 uint32
	for i := 0; i < 24; i += 8 {
		s0 += order.Uint32(head[i:]) + s1
		s1 += order.Uint32(head[i+4:]) + s0
	}
	if n < 32 || magic&^1 != 0x377f0682 || s0 != binary.BigEndian.Uint32(head[24:]) || s1 != binary.BigEndian.Uint32(head[28:]) {
		return fmt.Errorf("%w: the header of the write-ahead log %s is not whole", errDamaged, filepath.Base(path))
	}
	return nil
}

// ownFiles makes the database and what belongs to it readable by its owner
// alone, whatever the mode of the directory: they hold personal data.
func ownFiles(dir string) error {
	path := filepath.Join(dir, databaseName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		if err := os.Chmod(name, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// mark notes that the database is complete.
func mark(dir string) error {
	return os.WriteFile(filepath.Join(dir, markerName), []byte(marker), 0o600)
}
