//go:build !linux

package child

import (
	"errors"
	"os"
	"syscall"
)

func attributes() *syscall.SysProcAttr { return nil }

func written(*os.ProcessState) int64 { return -1 }

// Memory is how much memory the process has in RAM; known on Linux only.
func (p *Process) Memory() (now, peak int64, err error) {
	return 0, 0, errors.ErrUnsupported
}
