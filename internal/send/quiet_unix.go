//go:build unix

package send

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// quiet says whether a connection that was idle is still open and has nothing to
// say. What came without being asked for would be taken for the next answer.
func (c *plainConn) quiet() bool {
	raw, ok := c.Conn.(syscall.Conn)
	if !ok {
		return true // of a test, in memory
	}
	control, err := raw.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = control.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		quiet = errors.Is(err, unix.EAGAIN)
		return true // whatever it was: do not wait for more
	})
	return err == nil && quiet
}
