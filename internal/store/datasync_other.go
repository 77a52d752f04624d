//go:build !linux

package store

import "os"

// datasync brings what was written to a file to the disk.
func datasync(f *os.File) error { return f.Sync() }
