package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sigpost/sigpost/internal/api"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/signature"
)

// showAll sends each sample and says what became of it; it returns how many
// were not delivered.
func (d *dev) showAll(ctx context.Context) (failed int) {
	if d.forward != "" {
		fmt.Fprintf(d.out, "What is forwarded to %s is signed with\n  %s\n\n", d.forward, d.endpoint)
	}
	fmt.Fprintf(d.out, "Sending one sample of each provider through http://%s\n\n", d.server.Addr())
	for _, s := range devSamples {
		if err := d.show(ctx, s.provider, s.event); err != nil {
			fmt.Fprintf(d.out, "  %-8s %-32s FAILED: %v\n", s.provider, s.event, err)
			failed++
		}
	}
	return failed
}

// show sends one sample as its provider would, and follows it to its delivery.
func (d *dev) show(ctx context.Context, name, event string) error {
	ctx, cancel := context.WithTimeout(ctx, devPatience)
	defer cancel()
	begun := time.Now()
	id, size, err := d.post(ctx, name, event)
	if err != nil {
		return err
	}
	kept := time.Since(begun)
	fmt.Fprintf(d.out, "  %-8s %-32s verified   %d bytes\n", name, event, size)
	fmt.Fprintf(d.out, "  %-8s %-32s kept       %s in %s\n", "", "", id, short(kept))
	done, err := d.wait(ctx, id)
	if err != nil {
		return err
	}
	a := done.record.Attempt
	if done.record.State != hook.Delivered {
		return fmt.Errorf("kept as %s, but not delivered: %s; the next try is at %s", id, a.Reason, done.record.NextAt.Local().Format("15:04:05"))
	}
	fmt.Fprintf(d.out, "  %-8s %-32s delivered  %s after %s, answer %d\n", "", "", d.attemptID(ctx, id), short(done.at.Sub(begun)), a.Status)
	return nil
}

// post signs a sample by its provider's scheme and posts it to its source.
func (d *dev) post(ctx context.Context, name, event string) (id string, size int, err error) {
	p, err := d.providers.Lookup(name)
	if err != nil {
		return "", 0, err
	}
	sample, err := p.Sample(event)
	if err != nil {
		return "", 0, err
	}
	signer, err := signature.NewSigner(p.Scheme, d.secrets[name])
	if err != nil {
		return "", 0, err
	}
	target := "http://" + d.server.Addr() + "/in/" + name
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(sample.Body))
	if err != nil {
		return "", 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	for k, v := range sample.Header {
		req.Header[k] = v
	}
	fields, err := signer.Sign(signature.Content{Timestamp: time.Now(), Method: http.MethodPost, URL: target, Body: sample.Body})
	if err != nil {
		return "", 0, err
	}
	for _, f := range fields {
		req.Header.Add(f.Name, f.Value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return "", 0, err
	}
	if res.StatusCode != http.StatusOK {
		return "", 0, fmt.Errorf("answered %d: %s", res.StatusCode, bytes.TrimSpace(body))
	}
	var receipt struct{ ID string }
	if err := json.Unmarshal(body, &receipt); err != nil {
		return "", 0, fmt.Errorf("read the answer: %w", err)
	}
	return receipt.ID, len(sample.Body), nil
}

// wait waits for the first recorded attempt of a message.
func (d *dev) wait(ctx context.Context, id string) (settled, error) {
	for {
		select {
		case s := <-d.settled:
			if s.record.Attempt != nil && d.server.IDs().Public(hook.KindMessage, s.message) == id {
				return s, nil
			}
		case <-ctx.Done():
			return settled{}, fmt.Errorf("kept as %s, but not delivered within %s", id, devPatience)
		}
	}
}

// attemptID asks the server itself, as `sigpost message show` would.
func (d *dev) attemptID(ctx context.Context, message string) string {
	var m api.OrgMessageDetailOut
	c := &client{http: &http.Client{Transport: inProcess{d.server.Control()}}}
	if err := c.call(ctx, http.MethodGet, messagesPath+"/"+message, nil, &m); err != nil || len(m.Deliveries) == 0 || len(m.Deliveries[0].Log) == 0 {
		return "?"
	}
	return m.Deliveries[0].Log[0].ID
}

// follow prints what becomes of later messages.
func (d *dev) follow(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-d.settled:
			if d.forward == "" || s.record.Attempt == nil {
				continue // the receiver prints
			}
			a := s.record.Attempt
			what := "delivered"
			if a.Reason != "" {
				what = a.Reason
			}
			fmt.Fprintf(d.out, "%s  %s  %s in %s\n", s.at.Format("15:04:05"), d.server.IDs().Public(hook.KindMessage, s.message), what, short(a.Duration))
		}
	}
}

func short(t time.Duration) string { return fmt.Sprintf("%.1f ms", float64(t.Microseconds())/1000) }

// receiver is the small application of dev: it verifies what it gets and says so.
type receiver struct {
	p       *program
	handler http.Handler
	quiet   atomic.Bool
	mu      sync.Mutex
}

func newReceiver(p *program, secret string) (*receiver, error) {
	verifier, err := signature.NewVerifier(signature.StandardWebhooks(), secret)
	if err != nil {
		return nil, err
	}
	r := &receiver{p: p}
	r.handler = verifier.Middleware(signature.MiddlewareOptions{MaxBody: 20 << 20})(http.HandlerFunc(r.take))
	return r, nil
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.handler.ServeHTTP(w, req) }

// take is only reached by requests whose signature is good.
func (r *receiver) take(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, "unreadable", http.StatusBadRequest)
		return
	}
	if !r.quiet.Load() {
		r.mu.Lock()
		defer r.mu.Unlock()
		fmt.Fprintf(r.p.out, "%s  received  %s  %s  %s  %d bytes\n", time.Now().Format("15:04:05"), req.Header.Get("webhook-id"),
			req.Header.Get("sigpost-event-type"), req.Header.Get("sigpost-subject"), len(body))
	}
	w.WriteHeader(http.StatusNoContent)
}
