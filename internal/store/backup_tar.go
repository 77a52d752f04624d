package store

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sigpost/sigpost/internal/hook"
)

func isTar(name string) bool { return strings.HasSuffix(name, ".tar") }

// backUpTar makes the backup beside the file first, for the manifest stands in front
// of what it is about: so it needs the room twice.
func backUpTar(ctx context.Context, dir, target string) (Backup, error) {
	if _, err := os.Lstat(target); err == nil {
		return Backup{}, hook.Errorf(hook.CodeConflict, "%s exists; nothing is overwritten, name another file", target)
	}
	work, err := os.MkdirTemp(filepath.Dir(target), filepath.Base(target)+".*")
	if err != nil {
		return Backup{}, hook.Errorf(hook.CodeInvalid, "make a file in %s: %w", filepath.Dir(target), err)
	}
	defer os.RemoveAll(work)
	b, err := backUpInto(ctx, dir, work)
	if err != nil {
		return Backup{}, err
	}
	packed := filepath.Join(work, "packed")
	if err := pack(packed, work, append([]string{manifestName}, b.files()...)); err != nil {
		return Backup{}, fmt.Errorf("write %s: %w", target, err)
	}
	err = os.Link(packed, target) // which does not replace
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = os.Rename(packed, target) // not every file system has links
	}
	if err != nil {
		return Backup{}, hook.Errorf(hook.CodeConflict, "write %s: %w", target, err)
	}
	return b, syncDir(filepath.Dir(target))
}

// pack writes files of a directory into a tar file.
func pack(path, dir string, names []string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w := tar.NewWriter(f)
	for _, name := range names {
		if err = packFile(w, dir, name); err != nil {
			break
		}
	}
	return errors.Join(err, w.Close(), f.Sync(), f.Close())
}

func packFile(w *tar.Writer, dir, name string) error {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h := &tar.Header{Name: name, Mode: 0o600, Size: info.Size(), ModTime: info.ModTime(), Format: tar.FormatPAX}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}

// manifestBytes is more than any manifest has.
const manifestBytes = 64 << 10

// restoreTar is Restore of a file.
func restoreTar(ctx context.Context, from, dir string) (b Backup, err error) {
	f, err := os.Open(from)
	if err != nil {
		return b, hook.Errorf(hook.CodeInvalid, "open backup: %w", err)
	}
	defer f.Close()
	r := tar.NewReader(f)
	head, err := r.Next()
	if err != nil || head.Name != manifestName {
		return b, hook.Errorf(hook.CodeInvalid, "%s is not a backup: it does not begin with %s; name what `sigpost backup` made", from, manifestName)
	}
	raw, err := io.ReadAll(io.LimitReader(r, manifestBytes))
	if err != nil {
		return b, hook.Errorf(hook.CodeInvalid, "read %s: %w", from, err)
	}
	if b, err = parseManifest(raw); err != nil {
		return b, err
	}
	return b, restoreInto(dir, func() error {
		for _, name := range b.files() {
			head, err := r.Next()
			if err != nil || head.Name != name || head.Typeflag != tar.TypeReg {
				return hook.Errorf(hook.CodeInvalid, "the backup %s is not whole: %s is missing", from, name)
			}
			if err := fillFile(filepath.Join(dir, name+restoring), r); err != nil {
				return fmt.Errorf("read %s from %s: %w", name, from, err)
			}
		}
		return finishRestore(ctx, b, dir)
	})
}
