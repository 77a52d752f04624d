package role

import (
	"os"
	"syscall"
)

// datasync is fdatasync(2): the data and the file's length, but not its times.
func datasync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err != syscall.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
