package store

import (
	"os"
	"syscall"
)

// datasync brings what was written to a file to the disk: its data and what is needed to read
// them, such as its length, but not its times (fdatasync(2)).
func datasync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err != syscall.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
