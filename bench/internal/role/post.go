package role

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sigpost/sigpost/bench/internal/event"
)

// senders is how many posts are under way at most. It is the number of connections that
// the load comes in on; on two cores, 16 and 128 were no faster.
const senders = 64

// poster posts bodies, signed as Standard Webhooks has it, over connections that are kept.
type poster struct {
	url    *url.URL
	client *http.Client
	macs   sync.Pool
}

// newPoster posts to target and signs with secret, which is whsec_ and base64.
func newPoster(target, secret string) (*poster, error) {
	to, err := url.Parse(target)
	if err != nil || to.Host == "" {
		return nil, fmt.Errorf("-target %q is no URL", target)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) == 0 {
		return nil, errors.New("-signing-secret is not whsec_ and base64")
	}
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		MaxIdleConns:        senders,
		MaxIdleConnsPerHost: senders,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,
	}
	return &poster{
		url:    to,
		client: &http.Client{Transport: transport, Timeout: 15 * time.Second},
		macs:   sync.Pool{New: func() any { return hmac.New(sha256.New, key) }},
	}, nil
}

// post sends body once and is content with any 2xx.
func (p *poster) post(ctx context.Context, body []byte) error {
	id, stamp := "msg_"+rand.Text(), strconv.FormatInt(time.Now().Unix(), 10)
	req := (&http.Request{
		Method: http.MethodPost, URL: p.url, Host: p.url.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{
			"Content-Type":      {"application/json"},
			"User-Agent":        {"bare"},
			"Webhook-Id":        {id},
			"Webhook-Timestamp": {stamp},
			"Webhook-Signature": {p.sign(id, stamp, body)},
		},
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
	}).WithContext(ctx)
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 4<<10)) //nolint:errcheck // only so that the connection is kept
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("answered %s", resp.Status)
	}
	return nil
}

// sign is the webhook-signature header: v1 is HMAC-SHA256 of id.timestamp.body, base64
// (standardwebhooks.com, "Signature scheme").
func (p *poster) sign(id, stamp string, body []byte) string {
	mac := p.macs.Get().(hash.Hash)
	defer p.macs.Put(mac)
	mac.Reset()
	content := make([]byte, 0, 64)
	content = append(content, id...)
	content = append(content, '.')
	content = append(content, stamp...)
	content = append(content, '.')
	mac.Write(content)
	mac.Write(body)
	var sum [sha256.Size]byte
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(sum[:0]))
}

// burst answers POST /run?seconds=N&limit=M when it has posted for N seconds, or M events,
// with how many those were. The events are numbered from zero.
type burst struct {
	post func(context.Context, []byte) error
}

// Posted is the answer of bare-post.
type Posted struct {
	Events uint64 `json:"events"`
}

func (b burst) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	seconds, err1 := strconv.ParseFloat(r.FormValue("seconds"), 64)
	limit, err2 := strconv.ParseUint(r.FormValue("limit"), 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var next, posted atomic.Uint64
	template := event.NewTemplate()
	end := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	errs := make([]error, senders)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			body := make([]byte, event.Size)
			for n := next.Add(1) - 1; n < limit && time.Now().Before(end); n = next.Add(1) - 1 {
				template.Fill(body, n)
				if errs[i] = b.post(r.Context(), body); errs[i] != nil {
					return
				}
				posted.Add(1)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	json.NewEncoder(w).Encode(Posted{posted.Load()}) //nolint:errcheck // the caller notices
}
