//go:build !unix

package pgserver

import "os/exec"

// AsAnother does nothing where there is no root.
func AsAnother(*exec.Cmd, string) error { return nil }
