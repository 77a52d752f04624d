package postgres

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// tick is the unit of times in /proc: USER_HZ is 100 on every system that Go runs on.
const tick = 10 * time.Millisecond

// stat is what /proc/PID/stat says of a process.
type stat struct {
	parent int
	cpu    time.Duration // its own, and that of its children that have ended
}

// cpuOf is the CPU time, user and system, of a process and of all its children: those that
// live, and those that ended, which their parent has waited for. A child that
// ends between the two looks is counted by one of them, at the most once too often.
func cpuOf(pid int) (time.Duration, error) {
	root, err := readStat(pid)
	if err != nil {
		return 0, err
	}
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	sum := root.cpu
	for _, dir := range all {
		child, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		s, err := readStat(child)
		if errors.Is(err, errGone) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if s.parent == pid {
			sum += s.cpu
		}
	}
	return sum, nil
}

// errGone says that a process ended while it was read.
var errGone = errors.New("the process has ended")

func readStat(pid int) (s stat, err error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return s, errGone
	}
	if err != nil {
		return s, err
	}
	if s, err = parseStat(raw); err != nil {
		return s, fmt.Errorf("read /proc/%d/stat: %w", pid, err)
	}
	return s, nil
}

// parseStat reads what /proc/PID/stat has (proc_pid_stat(5)): the name of the program stands
// in brackets and may have any bytes in it; field 4 is the parent, 14 to 17 are times.
func parseStat(raw []byte) (s stat, err error) {
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:]) // from the third on
	const parent, utime, cstime = 4 - 3, 14 - 3, 17 - 3
	if len(fields) <= cstime {
		return s, fmt.Errorf("it has only %d fields", len(fields))
	}
	if s.parent, err = strconv.Atoi(string(fields[parent])); err != nil {
		return s, err
	}
	for _, f := range fields[utime : cstime+1] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return s, err
		}
		s.cpu += time.Duration(n) * tick
	}
	return s, nil
}
