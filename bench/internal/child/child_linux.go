package child

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// attributes put the child into a process group of its own, so that Ctrl-C reaches the
// bench alone, which then stops it in order; and have the kernel kill it if the bench dies.
// (The kernel takes the end of the thread that started the child for that. The runtime ends
// a thread only when a goroutine that is locked to it returns, and none here does so.)
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// written is the write_bytes of /proc/PID/io at the very end of the process, its shutdown
// included: the kernel hands the same counter over as ru_oublock, in blocks of 512 bytes.
func written(state *os.ProcessState) int64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return -1
	}
	return usage.Oublock * 512
}

// Memory is how much memory the process has in RAM, now and at most so far, in bytes.
func (p *Process) Memory() (now, peak int64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0, fmt.Errorf("read memory: %w", err)
	}
	// Not ru_maxrss: that begins with the size of the process that forked this one.
	now, err = kilobytes(status, "VmRSS:")
	if err != nil {
		return 0, 0, err
	}
	peak, err = kilobytes(status, "VmHWM:")
	return now, peak, err
}

// kilobytes is a value of /proc/PID/status, in bytes.
func kilobytes(status []byte, name string) (int64, error) {
	for line := range bytes.Lines(status) {
		value, found := strings.CutPrefix(string(line), name)
		if !found {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read memory: %s %w", name, err)
		}
		return n << 10, nil
	}
	return 0, fmt.Errorf("read memory: no line %s", name)
}
