// Package gosdk_test drives a running server with the Go SDK. It is a module of
// its own, so that what it needs stays out of the product's go.mod; run it with
// go test ./test/clients, which starts the server and says where it is.
package gosdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"

	svix "github.com/svix/svix-webhooks/go"
	"github.com/svix/svix-webhooks/go/models"
)

// patience is far more than anything here takes; it only ends a test that failed.
const patience = 20 * time.Second

// env is a variable that says where something is.
func env(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Fatalf("%s is not set; run go test ./test/clients, which sets it", name)
	}
	return v
}

// client is the SDK with a token; all that is changed is the address.
func client(t *testing.T, token string) *svix.Svix {
	t.Helper()
	address, err := url.Parse(env(t, "SIGPOST_URL"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := svix.New(token, &svix.SvixOptions{ServerUrl: address})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func owner(t *testing.T) *svix.Svix {
	t.Helper()
	return client(t, env(t, "SIGPOST_TOKEN"))
}

// must returns what a call answered.
func must[T any](t *testing.T, got T, err error) T {
	t.Helper()
	done(t, err)
	return got
}

// done checks that a call was not refused.
func done(t *testing.T, err error) {
	t.Helper()
	if refused, ok := errors.AsType[*svix.Error](err); ok {
		t.Fatalf("answered %d: %s", refused.Status(), refused.Body())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// refused checks that a call was refused with a status, in the form of its kind.
func refused(t *testing.T, err error, status int) {
	t.Helper()
	answer, ok := errors.AsType[*svix.Error](err)
	if !ok {
		t.Fatalf("it was not refused with %d: %v", status, err)
	}
	var body struct {
		Code   string
		Detail any
	}
	if err := json.Unmarshal(answer.Body(), &body); err != nil {
		t.Fatalf("answered %d %q: %v", answer.Status(), answer.Body(), err)
	}
	_, list := body.Detail.([]any)
	if answer.Status() != status || list != (status == http.StatusUnprocessableEntity) || list == (body.Code != "") {
		t.Errorf("answered %d %s; %d is right", answer.Status(), answer.Body(), status)
	}
}

// eventually repeats what may take a moment until it holds.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("it did not happen")
		}
	}
}

// fresh is a name that nothing else has.
func fresh(what string) string { return fmt.Sprintf("%s-%d", what, time.Now().UnixNano()) }

func pointer[T any](v T) *T { return &v }

// application makes an application.
func application(t *testing.T, c *svix.Svix) *models.ApplicationOut {
	t.Helper()
	app, err := c.Application.Create(context.Background(), models.ApplicationIn{Name: "Go", Uid: pointer(fresh("go"))}, nil)
	return must(t, app, err)
}

// hook is a place at the receiver.
type hook struct {
	t         *testing.T
	base, URL string
	name      string
}

type request struct {
	Headers map[string]string
	Body    []byte
}

func newHook(t *testing.T) hook {
	t.Helper()
	base, name := env(t, "RECEIVER_URL"), fresh("go")
	return hook{t, base, base + "/hook/" + name, name}
}

// came waits until n requests came, which must be all.
func (h hook) came(n int) (list []request) {
	h.t.Helper()
	res, err := http.Get(fmt.Sprintf("%s/recorded/%s?n=%d", h.base, h.name, n))
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&list); err != nil || len(list) != n {
		h.t.Fatalf("%d requests came, not %d: %v", len(list), n, err)
	}
	return list
}

// answer says what the receiver answers from now on.
func (h hook) answer(status int) {
	h.t.Helper()
	req, err := http.NewRequest(http.MethodPut, fmt.Sprintf("%s/answer/%s/%d", h.base, h.name, status), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		h.t.Fatalf("the receiver answered %s", res.Status)
	}
}

// verifies says whether the SDK's own verification takes a request.
func verifies(t *testing.T, secret string, r request) bool {
	t.Helper()
	w, err := svix.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{}
	for name, v := range r.Headers {
		header.Set(name, v)
	}
	if w.Verify(append(r.Body, ' '), header) == nil {
		t.Error("a changed body verifies")
	}
	return w.Verify(r.Body, header) == nil
}
