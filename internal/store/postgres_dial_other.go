//go:build !linux

package store

import "syscall"

// boundSilence does nothing where there is no such setting.
func boundSilence(string, string, syscall.RawConn) error { return nil }
