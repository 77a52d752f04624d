package store

import (
	"context"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// Both ends of a connection give up a silent one about when a node is taken for dead.
func TestASilentConnectionIsGivenUpByBothEnds(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := dial(ctx, "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		for _, o := range []struct {
			name                string
			level, option, want int
		}{
			{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 5},
			{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 5},
			{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3},
			{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 20_000},
		} {
			if have, err := unix.GetsockoptInt(int(fd), o.level, o.option); err != nil || have != o.want {
				t.Errorf("%s is %d, %v; %d is right", o.name, have, err, o.want)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	s := openNode(t, server.Database(t))
	for name, want := range map[string]string{
		"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3", "tcp_user_timeout": "20000", "idle_in_transaction_session_timeout": "20s",
	} {
		var have string
		if err := s.read.QueryRow("SHOW " + name).Scan(&have); err != nil || have != want {
			t.Errorf("%s of the server is %q, %v; %q is right", name, have, err, want)
		}
	}
}
