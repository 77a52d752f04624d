// Package load sends signed events, or messages of the API, over keep-alive connections and
// times the answers, as fast as they are answered (Closed) or at a fixed rate (Open). It
// also asks for lists (Round). It uses net/http, as
// those who send webhooks do; what that costs is part of every figure that is measured
// at full load on the same cores, and the table shows it.
package load

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/sigpost/sigpost/bench/internal/event"
)

// conn is one keep-alive connection with its request, of which only the signature, or the
// idempotency key, and the body change.
type conn struct {
	transport *http.Transport
	urls      []*url.URL
	book      *event.Book
	accepts   int // the status of an accepted event
	header    http.Header
	sig       [event.SignatureLen]byte
	body      []byte
}

// The headers that change with every request.
const (
	signatureHeader   = "X-Hmac-Signature"
	idempotencyHeader = "Idempotency-Key"
)

// dial prepares a connection to addr whose requests are as opt says.
func dial(opt *Options, addr string) (*conn, error) {
	paths := opt.Paths
	if len(paths) == 0 {
		paths = []string{opt.Path}
	}
	urls := make([]*url.URL, len(paths))
	for i, path := range paths {
		u, err := url.Parse("http://" + addr + path)
		if err != nil {
			return nil, fmt.Errorf("parse address: %w", err)
		}
		urls[i] = u
	}
	c := &conn{
		transport: transport(), urls: urls, book: opt.Book, accepts: http.StatusOK, body: make([]byte, opt.Book.Longest()),
		header: http.Header{"User-Agent": {"sigpost-bench"}, "Content-Type": {"application/json"}},
	}
	if opt.Token == "" {
		c.header["X-Auth-Client"], c.header[signatureHeader] = []string{"00000000-0000-4000-8000-000000000000"}, []string{""}
		return c, nil
	}
	c.accepts = http.StatusAccepted
	c.header["Authorization"], c.header[idempotencyHeader] = []string{"Bearer " + opt.Token}, []string{""}
	return c, nil
}

// transport has one connection.
func transport() *http.Transport {
	return &http.Transport{MaxConnsPerHost: 1, MaxIdleConnsPerHost: 1, DisableCompression: true, ResponseHeaderTimeout: answerLimit}
}

// close ends the connection; a post that is under way fails when its context ends.
func (c *conn) close() { c.transport.CloseIdleConnections() }

// send sends event n and returns the status of the answer.
func (w *worker) send(n uint64) (int, error) {
	c := w.conn
	body := c.body[:c.book.Write(c.body, c.sig[:], n)]
	if key := c.header[idempotencyHeader]; key != nil {
		key[0] = event.IdempotencyKey(n)
	} else {
		c.header[signatureHeader][0] = string(c.sig[:])
	}
	to := c.urls[n%uint64(len(c.urls))]
	req := &http.Request{
		Method: http.MethodPost, URL: to, Host: to.Host, Header: c.header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
	res, err := c.transport.RoundTrip(req.WithContext(w.ctx))
	if err != nil {
		return 0, fmt.Errorf("send event %d: %w", n, err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0, fmt.Errorf("read the answer to event %d: %w", n, err)
	}
	return res.StatusCode, nil
}

// answerLimit is how long after the end of a run the last answers may take.
const answerLimit = 30 * time.Second
