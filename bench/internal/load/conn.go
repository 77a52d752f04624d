// Package load sends signed events over keep-alive connections and times the answers, as
// fast as they are answered (Closed) or at a fixed rate (Open). It uses net/http, as
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

// conn is one keep-alive connection with its request, of which only the signature and the
// body change.
type conn struct {
	transport *http.Transport
	url       *url.URL
	book      *event.Book
	header    http.Header
	sig       [event.SignatureLen]byte
	body      [event.Size]byte
}

// dial prepares a connection whose requests go to path.
func dial(addr, path string, book *event.Book) (*conn, error) {
	u, err := url.Parse("http://" + addr + path)
	if err != nil {
		return nil, fmt.Errorf("parse address: %w", err)
	}
	return &conn{
		transport: &http.Transport{MaxConnsPerHost: 1, MaxIdleConnsPerHost: 1, DisableCompression: true, ResponseHeaderTimeout: answerLimit},
		url:       u, book: book,
		header: http.Header{
			"User-Agent": {"sigpost-bench"}, "Content-Type": {"application/json"},
			"X-Auth-Client": {"00000000-0000-4000-8000-000000000000"}, "X-Hmac-Signature": {""},
		},
	}, nil
}

// close ends the connection; a post that is under way fails when its context ends.
func (c *conn) close() { c.transport.CloseIdleConnections() }

// send sends event n and returns the status of the answer.
func (w *worker) send(n uint64) (int, error) {
	c := w.conn
	c.book.Write(c.body[:], c.sig[:], n)
	c.header["X-Hmac-Signature"][0] = string(c.sig[:])
	req := &http.Request{
		Method: http.MethodPost, URL: c.url, Host: c.url.Host, Header: c.header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader(c.body[:])), ContentLength: event.Size,
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
