package store

import (
	"context"
	"net"
	"time"
)

const (
	// idle, between and tries say when the other end of a silent connection is taken
	// for gone: 20 s after it was heard last, as an incarnation is.
	idle    = 5 * time.Second
	between = 5 * time.Second
	tries   = 3
	// unacknowledged is how long what was sent may go without being acknowledged. The
	// system's own time is a quarter of an hour, and what it still brings then is
	// from another age.
	unacknowledged = 20 * time.Second
)

// dial connects to the database such that a network that drops everything is
// noticed, also by those who wait without a bound.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: idle, Interval: between, Count: tries}, Control: boundSilence}
	return d.DialContext(ctx, network, address)
}
