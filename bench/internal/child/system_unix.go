//go:build unix

package child

import (
	"syscall"
	"time"
)

// Own is the CPU time, user and system, that the bench itself has taken so far.
func Own() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// Settle has the disk finish what earlier children wrote, so that it does not slow the next.
func Settle() { syscall.Sync() }
