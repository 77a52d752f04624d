// Package send makes one signed HTTP attempt at an endpoint and says in words
// what came of it. Addresses are checked in the dialer, after DNS, on every
// connection. It neither retries nor follows redirects: what an outcome means
// is decided by its caller.
package send

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// Options of a Client.
type Options struct {
	// AllowNets are private networks that its endpoints may be on.
	AllowNets []netip.Prefix
	// Own says whether an address is one of our own listeners, which are never
	// sent to: a request to ourselves would be a loop. May be nil.
	Own func(netip.AddrPort) bool
	// Proxy is used for every request when it is not nil. Addresses behind it
	// are the proxy's to check.
	Proxy *url.URL
	// UserAgent is sent with each request.
	UserAgent string
}

// Client keeps the connections of endpoints that share a network policy. Safe for concurrent use.
type Client struct {
	transport *http.Transport
	plain     *plain // nil where a proxy is used
	userAgent string
}

const (
	connectTimeout   = 10 * time.Second
	idleTimeout      = 90 * time.Second
	idlePerHost      = 64
	maxHeaderBytes   = 64 << 10
	keepAliveMinimum = 15 * time.Second
)

// errOwnAddress is the guard's answer for our own listeners.
var errOwnAddress = errors.New("this is one of sigpost's own listeners")

// guarded is a dialer that looks at each address before it connects to it: after the name was looked up,
// for every connection anew, so that no answer of a name server can lead it elsewhere.
func guarded(o Options) *net.Dialer {
	var v4, v6 []netip.Prefix
	for _, p := range o.AllowNets {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	guard := ssrf.New(ssrf.WithAnyPort(), ssrf.WithNetworks("tcp4", "tcp6"), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))
	return &net.Dialer{
		Timeout:   connectTimeout,
		KeepAlive: keepAliveMinimum,
		Control: func(network, address string, c syscall.RawConn) error {
			if err := own(o.Own, address); err != nil {
				return err
			}
			return guard.Safe(network, address, c)
		},
	}
}

// NewClient makes a Client. The environment's proxy variables are ignored.
func NewClient(o Options) *Client {
	dialer := guarded(o)
	t := &http.Transport{
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTimeout,
		TLSHandshakeTimeout:    connectTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		ExpectContinueTimeout:  time.Second,
	}
	if o.Proxy != nil {
		t.Proxy = http.ProxyURL(o.Proxy)
		t.DialContext = (&net.Dialer{Timeout: connectTimeout}).DialContext
	}
	c := &Client{transport: t, userAgent: o.UserAgent}
	if o.Proxy == nil {
		c.plain = &plain{dial: dialer.DialContext}
	}
	return c
}

// newClientOn makes a Client on connections of the caller's, for tests.
func newClientOn(dial func(ctx context.Context, network, address string) (net.Conn, error)) *Client {
	return &Client{
		transport: &http.Transport{DialContext: dial, DisableCompression: true, MaxResponseHeaderBytes: maxHeaderBytes},
		plain:     &plain{dial: dial},
		userAgent: "Sigpost/test",
	}
}

func own(is func(netip.AddrPort) bool, address string) error {
	if is == nil {
		return nil
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("read address %q: %w", address, err)
	}
	if is(netip.AddrPortFrom(at.Addr().Unmap(), at.Port())) {
		return fmt.Errorf("%s: %w", address, errOwnAddress)
	}
	return nil
}

// exchange sends a request with this body. Of the answer's body it returns
// what readResponse keeps.
func (c *Client) exchange(ctx context.Context, req *http.Request, body []byte) (*http.Response, []byte, error) {
	if c.plain != nil && c.plain.fits(req) {
		return c.plain.exchange(ctx, req, body)
	}
	res, err := c.transport.RoundTrip(replayable(req.WithContext(ctx), body))
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusSwitchingProtocols {
		return res, nil, nil // what follows is no body, and may never end
	}
	if res.StatusCode < 200 {
		return nil, nil, fmt.Errorf("its status is %d", res.StatusCode)
	}
	kept, _, err := readResponse(res.Body)
	return res, kept, err
}

// replayable gives a request its body. When the receiver closes an idle
// connection at the moment of use, the transport tries another, if it may send
// the request twice. It may: the receiver knows it by its id. An empty list
// marks that and is not sent.
func replayable(req *http.Request, body []byte) *http.Request {
	if len(body) == 0 {
		req.Body = http.NoBody
		return req
	}
	if _, given := req.Header["Idempotency-Key"]; !given {
		req.Header["Idempotency-Key"] = []string{}
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return req
}

// Close lets idle connections go.
func (c *Client) Close() {
	c.transport.CloseIdleConnections()
	if c.plain != nil {
		c.plain.close()
	}
}
