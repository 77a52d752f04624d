package send

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

// plain sends requests over HTTP/1.1 without TLS, which is how most endpoints
// of sources are reached: your own services, on your own network. The
// goroutine of the attempt writes and reads its connection itself; net/http
// wakes two others for each request, which costs a sixth of the CPU that an
// event takes on its whole way.
//
// Only small bodies go this way, so a request is one write: to a receiver that
// answers before it has read a large one, net/http listens while it writes.
type plain struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu     sync.Mutex
	idle   map[string][]*plainConn // by address, the last used last
	sweep  *time.Timer             // runs while connections are idle
	closed bool
}

// plainBody is how long a body may be to be sent this way.
const plainBody = 64 << 10

// plainConn is a connection to a receiver, used by one attempt at a time.
type plainConn struct {
	net.Conn
	in      *bufio.Reader
	limited io.LimitedReader
	out     []byte
	since   time.Time // idle since
}

// fits says whether a request can go this way.
func (p *plain) fits(req *http.Request) bool {
	host := req.URL.Host
	return req.URL.Scheme == "http" && req.ContentLength <= plainBody && !strings.ContainsFunc(host, func(r rune) bool { return r == '%' || r >= 0x80 })
}

// exchange sends a request with this body and returns the answer with the part
// of its body that readResponse keeps. When the receiver has closed a
// connection that was idle, the request is sent again on a new one: the
// receiver knows it by its id.
func (p *plain) exchange(ctx context.Context, req *http.Request, body []byte) (*http.Response, []byte, error) {
	address := req.URL.Host
	if req.URL.Port() == "" {
		address = net.JoinHostPort(req.URL.Hostname(), "80")
	}
	c := p.take(address)
	for c != nil && !c.quiet() {
		c.Close()
		c = p.take(address)
	}
	if c != nil {
		res, kept, err := p.on(ctx, c, address, req, body)
		if err == nil || ctx.Err() != nil || !errors.Is(err, errSilent) {
			return res, kept, err
		}
	}
	conn, err := p.dial(ctx, "tcp", address)
	if err != nil {
		return nil, nil, err
	}
	c = &plainConn{Conn: conn}
	c.limited.R = conn
	c.in = bufio.NewReader(&c.limited)
	return p.on(ctx, c, address, req, body)
}

// on has one exchange on c, and keeps or closes it afterwards.
func (p *plain) on(ctx context.Context, c *plainConn, address string, req *http.Request, body []byte) (*http.Response, []byte, error) {
	deadline, bounded := ctx.Deadline()
	if bounded {
		if err := c.SetDeadline(deadline); err != nil {
			c.Close()
			return nil, nil, fmt.Errorf("%w: %w", errSilent, err)
		}
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	res, kept, again, err := c.exchange(req, body)
	if stop() && again {
		p.keep(address, c)
	} else {
		c.Close()
	}
	switch {
	case err == nil:
	case errors.Is(ctx.Err(), context.Canceled):
		err = ctx.Err()
	case bounded && !time.Now().Before(deadline): // whatever was made of the part that had come
		err = context.DeadlineExceeded
	}
	return res, kept, err
}

// errSilent is the error of a connection on which no byte of an answer came.
var errSilent = errors.New("the connection was closed before an answer began")

// exchange writes the request and reads its answer. again says whether the
// connection can be used for another.
func (c *plainConn) exchange(req *http.Request, body []byte) (res *http.Response, kept []byte, again bool, err error) {
	if c.out, err = appendRequest(c.out[:0], req, body); err != nil {
		return nil, nil, false, err
	}
	// A receiver that refuses early may close while we write; its answer can be there all the same.
	_, wrote := c.Write(c.out)
	if cap(c.out) > 16<<10 {
		c.out = nil
	}
	c.limited.N = maxHeaderBytes
	if _, err := c.in.Peek(1); err != nil {
		if wrote != nil {
			err = wrote
		}
		if timedOut(err) {
			return nil, nil, false, err
		}
		return nil, nil, false, fmt.Errorf("%w: %w", errSilent, err)
	}
	if res, err = c.answer(req); err != nil {
		return nil, nil, false, err
	}
	// The body is not closed: that would read what is left of it, however long. It has nothing else to let
	// go of, and a connection whose answer was not read to its end is not used again.
	kept, whole, err := readResponse(res.Body)
	again = err == nil && wrote == nil && whole && !res.Close && res.StatusCode != http.StatusSwitchingProtocols && c.in.Buffered() == 0
	return res, kept, again, err
}

// answer reads the head of the final answer, past interim ones.
func (c *plainConn) answer(req *http.Request) (*http.Response, error) {
	const interim = 5
	for range interim + 1 {
		res, err := http.ReadResponse(c.in, req)
		if err != nil {
			if c.limited.N == 0 {
				return nil, fmt.Errorf("its header is longer than %d KiB", maxHeaderBytes>>10)
			}
			return nil, err
		}
		if res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols {
			c.limited.N = 1 << 62 // the body is bounded by its reader
			return res, nil
		}
	}
	return nil, fmt.Errorf("it has more than %d interim answers", interim)
}

// appendRequest writes the whole of a request.
func appendRequest(b []byte, req *http.Request, body []byte) ([]byte, error) {
	b = append(b, req.Method...)
	b = append(b, ' ')
	b = append(b, req.URL.RequestURI()...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, req.Host...)
	b = append(b, "\r\n"...)
	for name, values := range req.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			return b, fmt.Errorf("%q is not a header's name", name)
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return b, fmt.Errorf("the value of header %s holds a control character", name)
			}
			b = append(b, name...)
			b = append(b, ": "...)
			b = append(b, textproto.TrimString(v)...)
			b = append(b, "\r\n"...)
		}
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\r\n\r\n"...)
	return append(b, body...), nil
}

// take returns the idle connection that was used last, or nil.
func (p *plain) take(address string) *plainConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.idle[address]
	if len(all) == 0 {
		return nil
	}
	c := all[len(all)-1]
	all[len(all)-1] = nil
	p.idle[address] = all[:len(all)-1]
	return c
}

// keep puts a connection back, or closes it when there are enough.
func (p *plain) keep(address string, c *plainConn) {
	c.since = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle[address]) >= idlePerHost {
		c.Close()
		return
	}
	if p.idle == nil {
		p.idle = map[string][]*plainConn{}
	}
	p.idle[address] = append(p.idle[address], c)
	if p.sweep == nil {
		p.sweep = time.AfterFunc(idleTimeout, p.tidy)
	}
}

// tidy closes what was idle for too long.
func (p *plain) tidy() {
	p.mu.Lock()
	defer p.mu.Unlock()
	oldest := time.Now().Add(-idleTimeout)
	p.sweep = nil
	for address, all := range p.idle {
		n := 0
		for n < len(all) && !all[n].since.After(oldest) {
			all[n].Close()
			n++
		}
		if all = slices.Delete(all, 0, n); len(all) == 0 {
			delete(p.idle, address)
			continue
		}
		p.idle[address] = all
		if p.sweep == nil {
			p.sweep = time.AfterFunc(idleTimeout/2, p.tidy)
		}
	}
}

// close lets go of the idle connections, and of others when they are done.
func (p *plain) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.sweep != nil {
		p.sweep.Stop()
	}
	for _, all := range p.idle {
		for _, c := range all {
			c.Close()
		}
	}
	p.idle = nil
}
