//go:build !unix

package pgserver

import "os/exec"

// asAnother does nothing where there is no root.
func asAnother(*exec.Cmd, string) error { return nil }
