package load

import (
	"runtime"
	"syscall"
	"time"
)

// steady ties the pacer to a thread of its own until the returned function is called.
func steady() func() {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}

// nap sleeps in the kernel. time.Sleep of an otherwise idle program ends up to 1 ms late,
// because the runtime waits for timers in whole milliseconds (epoll); that would be added
// to every latency. A nap that a signal cuts short is resumed by the caller.
func nap(d time.Duration) {
	ts := syscall.NsecToTimespec(d.Nanoseconds())
	syscall.Nanosleep(&ts, nil) //nolint:errcheck // EINTR: see above
}
