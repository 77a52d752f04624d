//go:build !linux

package load

import "time"

func steady() func() { return func() {} }

func nap(d time.Duration) { time.Sleep(d) }
