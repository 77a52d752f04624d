package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/gofrs/flock"

	"github.com/sigpost/sigpost/internal/hook"
)

// A backup is a directory, or a tar file (backup_tar.go), with the database as of
// one instant, the master keys when they stand in the data directory, and a
// manifest.

const (
	manifestName = "backup.json"
	keysName     = "master.key" // as internal/seal names it
	// backupFormat is the newest form of a backup that is understood.
	backupFormat = 1
)

// Backup is what a backup says of itself.
type Backup struct {
	Format   int       `json:"format"`
	MadeAt   time.Time `json:"made_at"`
	Size     int64     `json:"size"` // of the database, in bytes
	SHA256   string    `json:"sha256"`
	Messages int64     `json:"messages"`
	// Keys says that the master keys are in it.
	Keys bool `json:"keys"`
}

// BackUp makes a backup of a data directory into target, which must not exist, or be
// an empty directory. A name that ends in .tar makes a file, any other a directory.
// A server may run on the directory: it writes on meanwhile, and only its
// write-ahead log does not get shorter until the copy is made. The copy is
// checked before it gets its name. What was begun is deleted when it fails.
func BackUp(ctx context.Context, dir, target string) (Backup, error) {
	path := filepath.Join(dir, databaseName)
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		return Backup{}, hook.Errorf(hook.CodeInvalid, "there is no data in %s; say where it is with --data", dir)
	}
	err := checkFiles(dir)
	if err != nil {
		err = checkFiles(dir) // a server may have been about to begin its log anew
	}
	if err != nil {
		return Backup{}, explainOpen(dir, err)
	}
	if isTar(target) {
		return backUpTar(ctx, dir, target)
	}
	made, err := emptyDir(target)
	if err != nil {
		return Backup{}, err
	}
	b, err := backUpInto(ctx, dir, target)
	if err != nil {
		return Backup{}, errors.Join(err, removeBackup(target, made))
	}
	return b, nil
}

// backUpInto makes a backup in an empty directory. The manifest comes last: without
// it what is there is not a backup.
func backUpInto(ctx context.Context, dir, target string) (b Backup, err error) {
	keys, err := readKeys(dir)
	if err != nil {
		return b, err
	}
	b = Backup{Format: backupFormat, MadeAt: time.Now().UTC(), Keys: keys != nil} // what was acknowledged by now is in it
	path := filepath.Join(target, databaseName)
	if err := copyDatabase(ctx, filepath.Join(dir, databaseName), path); err != nil {
		return b, explainOpen(dir, err)
	}
	after, err := readKeys(dir)
	if err != nil {
		return b, err
	}
	if string(keys) != string(after) {
		return b, hook.Errorf(hook.CodeConflict, "the master key in %s was changed while the backup was made; make it again", dir)
	}
	if b.Messages, err = checkCopy(ctx, path); err != nil {
		return b, err
	}
	if b.Size, b.SHA256, err = sumFile(path); err != nil {
		return b, err
	}
	if keys != nil {
		if err := writeWhole(filepath.Join(target, keysName), keys); err != nil {
			return b, err
		}
	}
	raw, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return b, err
	}
	if err := writeWhole(filepath.Join(target, manifestName), append(raw, '\n')); err != nil {
		return b, err
	}
	return b, syncDir(target)
}

// Restore puts a backup into a data directory that is missing or empty, once it
// has seen that it is whole. What was begun is deleted when it fails.
func Restore(ctx context.Context, from, dir string) (Backup, error) {
	if isTar(from) {
		return restoreTar(ctx, from, dir)
	}
	b, err := readManifest(from)
	if err != nil {
		return Backup{}, err
	}
	return b, restoreInto(dir, func() error {
		for _, name := range b.files() {
			if err := copyFile(filepath.Join(from, name), filepath.Join(dir, name+restoring)); err != nil {
				return err
			}
		}
		return finishRestore(ctx, b, dir)
	})
}

// restoring ends the names of files that were not looked at yet.
const restoring = ".restoring"

// files are those of a backup but for the manifest.
func (b *Backup) files() []string {
	if b.Keys {
		return []string{databaseName, keysName}
	}
	return []string{databaseName}
}

// restoreInto lets fill work in an empty directory that no server can have.
func restoreInto(dir string, fill func() error) error {
	made, err := emptyDir(dir)
	if err != nil {
		return err
	}
	lock := flock.New(filepath.Join(dir, "lock"))
	held, err := lock.TryLock()
	if err == nil && !held {
		err = errors.New("another process has it")
	}
	if err != nil {
		return hook.Errorf(hook.CodeConflict, "lock data directory %s: %w", dir, err)
	}
	if err = fill(); err != nil {
		for _, name := range []string{databaseName, keysName, markerName} {
			err = errors.Join(err, removeIfThere(filepath.Join(dir, name)), removeIfThere(filepath.Join(dir, name+restoring)))
		}
	}
	err = errors.Join(err, lock.Unlock())
	if err != nil && made {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// finishRestore checks what was copied and gives it its names.
func finishRestore(ctx context.Context, b Backup, dir string) error {
	path := filepath.Join(dir, databaseName+restoring)
	size, sum, err := sumFile(path)
	if err != nil {
		return err
	}
	if size != b.Size || sum != b.SHA256 {
		return hook.Errorf(hook.CodeInvalid, "the backup is damaged: its database does not have the size and checksum that %s says; take another one", manifestName)
	}
	if _, err := checkCopy(ctx, path); err != nil {
		return err
	}
	for _, name := range slices.Backward(b.files()) { // without its key the database must not be there
		if err := os.Rename(filepath.Join(dir, name+restoring), filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("restore %s: %w", name, err)
		}
	}
	if err := mark(dir); err != nil {
		return err
	}
	return syncDir(dir)
}

// copyDatabase writes the database as of one instant into a new file. Unlike a copy
// of the files it is whole whoever writes meanwhile, and has no deleted data.
func copyDatabase(ctx context.Context, from, to string) error {
	if err := writeWhole(to, nil); err != nil { // else others could read it while it grows
		return err
	}
	db, err := openSQLite(from, true) // which writes only what VACUUM INTO does
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", to)
	if err := errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	f, err := os.OpenFile(to, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// checkCopy reads every page of a database that nobody writes to, and counts its messages.
func checkCopy(ctx context.Context, path string) (messages int64, err error) {
	// immutable: no journal is made beside it.
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?mode=ro&immutable=1"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return 0, fmt.Errorf("open the copy: %w", err)
	}
	defer db.Close()
	var verdict string
	err = db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict)
	if err == nil && verdict != "ok" {
		err = fmt.Errorf("%w: %s", errDamaged, verdict)
	}
	if err == nil {
		err = db.QueryRowContext(ctx, "SELECT count(*) FROM messages").Scan(&messages)
	}
	if err != nil {
		return 0, hook.Errorf(hook.CodeConflict, "the copy is not a whole database (%w); see that there is room on the disk, and that the original is whole", err)
	}
	return messages, nil
}

// readManifest reads what a directory says of the backup in it.
func readManifest(dir string) (Backup, error) {
	raw, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		return Backup{}, hook.Errorf(hook.CodeInvalid, "%s is not a backup: %w; name what `sigpost backup` made", dir, err)
	}
	return parseManifest(raw)
}

func parseManifest(raw []byte) (b Backup, err error) {
	if err := json.Unmarshal(raw, &b); err != nil || b.Format < 1 {
		return b, hook.Errorf(hook.CodeInvalid, "%s is damaged; take another backup", manifestName)
	}
	if b.Format > backupFormat {
		return b, hook.Errorf(hook.CodeConflict, "the backup has format %d, this sigpost knows %d; restore it with the version that made it, or a newer one", b.Format, backupFormat)
	}
	return b, nil
}

// readKeys reads the master keys of a data directory; nil when they stand elsewhere.
func readKeys(dir string) ([]byte, error) {
	raw, err := os.ReadFile(filepath.Join(dir, keysName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, hook.Errorf(hook.CodeInvalid, "master key: %w", err)
	}
	return raw, nil
}

// emptyDir makes a directory, or sees that it is empty. A lock that nobody has and
// the directory that new file systems have do not count.
func emptyDir(dir string) (made bool, err error) {
	list, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return false, hook.Errorf(hook.CodeInvalid, "make directory %s: %w", dir, err)
		}
		return true, nil
	case err != nil:
		return false, hook.Errorf(hook.CodeInvalid, "read directory %s: %w", dir, err)
	}
	for _, e := range list {
		if e.Name() != "lock" && e.Name() != "lost+found" {
			return false, hook.Errorf(hook.CodeConflict, "%s is not empty: it has %s; nothing is overwritten, name another directory", dir, e.Name())
		}
	}
	return false, nil
}

// removeBackup deletes what a backup that failed has made.
func removeBackup(dir string, made bool) error {
	if made {
		return os.RemoveAll(dir)
	}
	var errs []error
	for _, name := range []string{databaseName, databaseName + "-journal", keysName, manifestName} {
		errs = append(errs, removeIfThere(filepath.Join(dir, name)))
	}
	return errors.Join(errs...)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// writeWhole writes a new file that only its owner can read, down to the disk.
func writeWhole(path string, raw []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	return errors.Join(err, f.Sync(), f.Close())
}

func copyFile(from, to string) error {
	f, err := os.Open(from)
	if err != nil {
		return hook.Errorf(hook.CodeInvalid, "the backup is not whole: %w", err)
	}
	defer f.Close()
	return fillFile(to, f)
}

// fillFile writes a new file of what r has.
func fillFile(path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Sync(), f.Close())
}

func sumFile(path string) (size int64, sum string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	if size, err = io.Copy(h, f); err != nil {
		return 0, "", fmt.Errorf("read %s: %w", path, err)
	}
	return size, hex.EncodeToString(h.Sum(nil)), nil
}

// syncDir makes the names in a directory as lasting as the files, where that can be
// asked for.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
