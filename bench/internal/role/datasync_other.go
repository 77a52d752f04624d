//go:build !linux

package role

import "os"

func datasync(f *os.File) error { return f.Sync() }
