package pgtest

import (
	"net"
	"net/url"
	"sync"
	"testing"
)

// Mode is what a Proxy does with connections.
type Mode int

// The ways in which a network works or does not.
const (
	// Pass forwards everything, first of all what was held back.
	Pass Mode = iota
	// Stall takes everything and forwards nothing, either way.
	Stall
	// StallRequests forwards answers only: what is asked comes late.
	StallRequests
	// StallAnswers forwards requests only: what is asked is done, and nobody is told.
	StallAnswers
	// Drop is a black hole: connections are dead and do not know it, new ones are
	// not answered. Those that died are reset when the network works again.
	Drop
	// Reset resets all connections, and new ones at once.
	Reset
)

// Proxy is the network between one node and a database, which fails as tests want it.
type Proxy struct {
	listener net.Listener
	to       string

	mu      sync.Mutex
	mode    Mode
	changed chan struct{} // closed at the next change of mode
	links   map[*link]bool
	ended   bool
}

// link is one connection through the proxy. server is nil when nobody was reached.
type link struct {
	client, server net.Conn
	dead           bool // it forwards nothing any more
	ended          int  // of its two directions
}

// NewProxy puts a proxy before the database at a URL, and gives the URL through it. It
// ends with the test.
func NewProxy(t testing.TB, database string) (p *Proxy, through string) {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p = &Proxy{listener: l, to: u.Host, changed: make(chan struct{}), links: map[*link]bool{}}
	u.Host = l.Addr().String()
	var running sync.WaitGroup
	running.Go(func() { p.accept(&running) })
	t.Cleanup(func() {
		p.end()
		running.Wait()
	})
	return p, u.String()
}

// Set changes what the proxy does, with connections that there are and with new ones.
func (p *Proxy) Set(m Mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.mode
	p.mode = m
	for l := range p.links {
		switch {
		case m == Reset, before == Drop && m != Drop:
			l.reset()
		case m == Drop:
			l.dead = true
		}
	}
	p.change()
}

func (p *Proxy) end() {
	p.listener.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for l := range p.links {
		l.reset()
	}
	p.change()
}

// change wakes whoever waits for another mode. The caller has the lock.
func (p *Proxy) change() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) accept(running *sync.WaitGroup) {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // it is closed
		}
		if l := p.open(client); l != nil {
			running.Go(func() { p.pump(l, l.client, l.server, StallRequests) })
			running.Go(func() { p.pump(l, l.server, l.client, StallAnswers) })
		}
	}
}

// open makes a link, or nil when there is nothing to be forwarded.
func (p *Proxy) open(client net.Conn) *link {
	l := &link{client: client}
	server, err := net.Dial("tcp", p.to)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		l.server = server
	case p.mode != Drop:
		l.reset()
		return nil
	}
	if p.mode == Reset || p.ended {
		l.reset()
		return nil
	}
	p.links[l] = true
	l.dead = p.mode == Drop
	if l.server == nil {
		return nil
	}
	return l
}

// reset ends both connections at once, with RST. The caller has the lock.
func (l *link) reset() {
	l.dead = true
	for _, c := range []net.Conn{l.client, l.server} {
		if c, ok := c.(*net.TCPConn); ok && c != nil {
			c.SetLinger(0)
			c.Close()
		}
	}
}

// pump forwards from one end to the other what the mode lets through. It always reads
// on, so that whoever sends sees nothing of a stall.
func (p *Proxy) pump(l *link, from, to net.Conn, stalledBy Mode) {
	held := make(chan []byte, 1<<16)
	go func() {
		defer close(held)
		for {
			b := make([]byte, 16<<10)
			n, err := from.Read(b)
			if n > 0 {
				held <- b[:n]
			}
			if err != nil {
				return
			}
		}
	}()
	for b := range held {
		if p.await(l, stalledBy) { // else what comes is taken and goes nowhere
			to.Write(b) // whoever is gone there shows in the other direction
		}
	}
	if p.await(l, stalledBy) {
		p.finish(l, to)
	}
}

// await waits until the mode lets a link's bytes through. False: it never will.
func (p *Proxy) await(l *link, stalledBy Mode) bool {
	for {
		p.mu.Lock()
		dead, stalled, changed := l.dead, p.mode == Stall || p.mode == stalledBy, p.changed
		p.mu.Unlock()
		if dead || !stalled {
			return !dead
		}
		<-changed
	}
}

// finish forwards the end of one direction, and ends the link after both.
func (p *Proxy) finish(l *link, to net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.ended++; l.ended == 2 {
		l.client.Close()
		l.server.Close()
		delete(p.links, l)
		return
	}
	if c, ok := to.(*net.TCPConn); ok {
		c.CloseWrite()
	}
}
