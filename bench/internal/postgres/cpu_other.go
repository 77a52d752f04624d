//go:build !linux

package postgres

import (
	"errors"
	"time"
)

// cpuOf is known on Linux only.
func cpuOf(int) (time.Duration, error) { return 0, errors.ErrUnsupported }
