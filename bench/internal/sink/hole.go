package sink

import (
	"fmt"
	"io"
	"net"
	"sync"
)

// Hole is an endpoint that accepts connections and reads what is sent, but never answers:
// the neighbour that must not harm anybody else.
type Hole struct {
	listener net.Listener
	mu       sync.Mutex
	open     map[net.Conn]bool
	accepted int
	closed   bool
	first    chan struct{} // closed when the first connection was taken
}

// OpenHole opens one on a free loopback port. The caller closes it.
func OpenHole() (*Hole, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open the silent endpoint: %w", err)
	}
	h := &Hole{listener: ln, open: map[net.Conn]bool{}, first: make(chan struct{})}
	go h.serve()
	return h, nil
}

// URL is where deliveries get stuck.
func (h *Hole) URL() string { return "http://" + h.listener.Addr().String() + "/hook" }

// Accepted is how many connections were opened to it.
func (h *Hole) Accepted() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.accepted
}

// First is closed when the first connection was opened to it.
func (h *Hole) First() <-chan struct{} { return h.first }

// Close ends it and lets go of everybody who waits.
func (h *Hole) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for conn := range h.open {
		conn.Close()
	}
	return h.listener.Close()
}

func (h *Hole) serve() {
	for {
		conn, err := h.listener.Accept()
		if err != nil {
			return
		}
		if !h.keep(conn) {
			conn.Close()
			return
		}
		go h.swallow(conn)
	}
}

// keep remembers conn, unless the hole has been closed meanwhile.
func (h *Hole) keep(conn net.Conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	if h.accepted++; h.accepted == 1 {
		close(h.first)
	}
	h.open[conn] = true
	return true
}

// swallow reads until the other side goes away.
func (h *Hole) swallow(conn net.Conn) {
	io.Copy(io.Discard, conn) //nolint:errcheck // how it ends is all the same
	conn.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, conn)
}
