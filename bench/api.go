package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sigpost/sigpost/bench/internal/event"
	"github.com/sigpost/sigpost/bench/internal/fill"
	"github.com/sigpost/sigpost/bench/internal/load"
	"github.com/sigpost/sigpost/bench/internal/report"
)

const (
	// organization is who uses the API, as its own tokens name it.
	organization = "org_bench"
	// tokenLife is longer than any run.
	tokenLife = 24 * time.Hour
)

// token signs a token as its owner does with the secret of the server (HS256, RFC 7519).
func token(secret, subject string, now time.Time) string {
	encode := base64.RawURLEncoding.EncodeToString
	claims := fmt.Sprintf(`{"sub":%q,"iat":%d,"exp":%d}`, subject, now.Unix(), now.Add(tokenLife).Unix())
	text := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode([]byte(claims))
	mac := hmac.New(sha256.New, []byte(secret))
	io.WriteString(mac, text)
	return text + "." + encode(mac.Sum(nil))
}

// create makes something by the API of s and returns its id.
func (b *bench) create(ctx context.Context, s *system, path string, what any) (string, error) {
	body, err := json.Marshal(what)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, b.opt.patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+path, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Close = true // or the stop would wait for an idle connection
	req.Header.Set("Authorization", "Bearer "+b.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	var made struct{ ID string }
	if err == nil && res.StatusCode < 300 {
		err = json.Unmarshal(answer, &made)
	}
	if err != nil || made.ID == "" {
		return "", fmt.Errorf("POST %s was answered %s, %.300s (%w)", path, res.Status, answer, err)
	}
	return made.ID, nil
}

// application makes one, and returns its id.
func (b *bench) application(ctx context.Context, s *system) (string, error) {
	return b.create(ctx, s, "/api/v1/app", map[string]string{"name": "bench"})
}

// messages is the book of full runs at the API, made when it is first needed. All of one
// type, so that bare-fsync and the API get requests of one length.
func (b *bench) messages() *event.Book {
	if b.messageBook == nil {
		b.messageBook = event.NewMessageBook(b.secret, b.book.Len(), fill.Heads()[:1]...)
	}
	return b.messageBook
}

// load are the options of the generator for a running system and what it is to do.
func (b *bench) load(ctx context.Context, s *system, t task) (load.Options, error) {
	opt := load.Options{Addrs: []string{s.addr}, Path: "/in/bench", Book: b.book, Connections: connections, Zero: b.zero}
	if !t.messages {
		return opt, nil
	}
	opt.Book = b.messages()
	if s.name != "sigpost" { // the same bytes, but signed
		return opt, nil
	}
	app, err := b.application(ctx, s)
	if err != nil {
		return opt, err
	}
	opt.Path, opt.Token = "/api/v1/app/"+app+"/msg", b.token
	return opt, nil
}

// api compares messages created by the API, in an application without endpoints, with
// bare-fsync, which gets the same bytes.
func (b *bench) api(ctx context.Context) error {
	tasks := map[string]task{"bare-fsync": {messages: true}, "sigpost": {messages: true}}
	all, err := b.alone(ctx, "api", tasks, "bare-fsync", "sigpost")
	if err != nil {
		return err
	}
	b.compare("api", "bare-fsync", 0.4, all)
	sigpost := all["sigpost"]
	b.report.Add("api", "sigpost, CPU per message", report.Milliseconds, nil, "whole process, start and stop included", sigpost.cpu()...)
	b.report.Add("api", "sigpost, written per message", report.KiB, nil, "idempotency key included", sigpost.written()...)
	b.report.Add("api", "bare-fsync, CPU per message", report.Milliseconds, nil, "", all["bare-fsync"].cpu()...)
	b.report.Add("api", "bench's own CPU per message", report.Milliseconds, nil, "", sigpost.own()...)
	return nil
}
