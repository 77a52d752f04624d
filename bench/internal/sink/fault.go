package sink

import (
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Fault is an endpoint that answers 500 to everything, at once.
type Fault struct {
	server *http.Server
	addr   string
	asked  atomic.Int64
}

// OpenFault opens one on a free loopback port. The caller closes it.
func OpenFault() (*Fault, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open the failing endpoint: %w", err)
	}
	f := &Fault{addr: ln.Addr().String()}
	f.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		f.asked.Add(1)
		w.WriteHeader(http.StatusInternalServerError)
	})}
	go f.server.Serve(ln) //nolint:errcheck // it always ends with ErrServerClosed, by Close
	return f, nil
}

// URL is where deliveries fail.
func (f *Fault) URL() string { return "http://" + f.addr + "/hook" }

// Asked is how many requests it was sent.
func (f *Fault) Asked() int { return int(f.asked.Load()) }

// Close ends it and its connections.
func (f *Fault) Close() error { return f.server.Close() }
