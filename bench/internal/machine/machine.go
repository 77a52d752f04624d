// Package machine says on what a measurement was made. What cannot be found out is left
// empty: it is a note beside the figures, not one of them.
package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// Facts describe the machine and the program that measured.
type Facts struct {
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	Memory     string `json:"memory"`
	Kernel     string `json:"kernel"`
	FileSystem string `json:"file_system"` // of the data directories
	Go         string `json:"go"`
}

// Look gathers the facts; dir is where the data directories are.
func Look(dir string) Facts {
	f := Facts{
		CPU:    field(read("/proc/cpuinfo"), "model name"),
		Cores:  runtime.GOMAXPROCS(0),
		Kernel: strings.TrimSpace(runtime.GOOS + " " + strings.TrimSpace(read("/proc/sys/kernel/osrelease"))),
		Go:     runtime.Version() + " " + runtime.GOARCH,
	}
	if kb, err := strconv.Atoi(strings.TrimSuffix(field(read("/proc/meminfo"), "MemTotal"), " kB")); err == nil {
		f.Memory = fmt.Sprintf("%.1f GiB", float64(kb)/(1<<20))
	}
	if abs, err := filepath.Abs(dir); err == nil {
		f.FileSystem = mounted(read("/proc/self/mountinfo"), abs)
	}
	return f
}

func read(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(text)
}

// field is the first value of name in a file of "name : value" lines.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// mounted is the type of the file system that holds path, with its device, from the
// format of /proc/self/mountinfo (proc_pid_mountinfo(5)).
func mounted(mountinfo, path string) string {
	best, found := "", ""
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		mount, kind := strings.Fields(before), strings.Fields(after)
		if !ok || len(mount) < 5 || len(kind) < 2 {
			continue
		}
		point := mount[4]
		inside := path == point || strings.HasPrefix(path, strings.TrimSuffix(point, "/")+"/")
		if inside && len(point) >= len(best) {
			best, found = point, kind[0]+" on "+kind[1]
		}
	}
	return found
}
