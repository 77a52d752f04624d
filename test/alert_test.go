package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/mail/mailtest"
)

// operations listens to operational webhooks and notes their types.
func operations(t *testing.T) (url string, types chan string) {
	t.Helper()
	types = make(chan string, 100)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e struct{ Type string }
		if raw, err := io.ReadAll(r.Body); err != nil || json.Unmarshal(raw, &e) != nil || r.Header.Get("webhook-signature") == "" {
			t.Errorf("a webhook %s, %v", raw, err)
		}
		types <- e.Type
	}))
	t.Cleanup(s.Close)
	return s.URL, types
}

// The own service answers 500: who runs it is told by webhook, and sees with one
// command that alerts arrive.
func TestWhoRunsItIsToldAndCanTryIt(t *testing.T) {
	t.Parallel()
	office := &mailtest.PostOffice{StartTLS: true, Mechanisms: "PLAIN", Clear: true}
	at := office.Serve(t)
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	t.Cleanup(broken.Close)
	ops, types := operations(t)
	dir := t.TempDir()
	config := writeConfig(t, dir, freeAddress(t), veriffSecret, endpointsYAML(broken.URL)+"        retries: [1s]\n")
	f, err := os.OpenFile(config, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(f, "alerts:\n  email:\n    smtp: smtp://sigpost@%s\n    password: \"${MAIL_PASSWORD}\"\n    from: a@example.com\n    to: [b@example.com]\n", at)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	p := serve(t, config, "MAIL_PASSWORD="+mailtest.Password)
	key, err := os.ReadFile(filepath.Join(dir, "data", "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, p.url+"/api/v1/operational-webhook/endpoint", strings.NewReader(fmt.Sprintf(`{"url":%q}`, ops)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(key)))
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("answered %d", res.StatusCode)
	}

	out, code := sigpost(t, "", "alert", "test", "--data", filepath.Join(dir, "data"))
	for _, want := range []string{"log      -", "written\n", "email    b@example.com", "sent\n", "webhook  " + ops, "delivered, msg_"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("exit code %d, and no %q in\n%s", code, want, out)
		}
	}
	if got := office.Letters(); len(got) != 1 || got[0].User != mailtest.User || !got[0].TLS || !strings.Contains(got[0].Data, "Subject: [Sigpost] A test of alerts\r\n") {
		t.Errorf("mails %+v", got)
	}
	body := veriffDecision(t)
	if status, _, err := post(http.DefaultClient, p.url, body, sign(body)); err != nil || status != http.StatusOK {
		t.Fatalf("answered %d, %v", status, err)
	}
	for _, want := range []string{"alert.test", "ingest.message.attempt.failing"} {
		select {
		case got := <-types:
			if got != want {
				t.Errorf("told %s, %s is right", got, want)
			}
		case <-time.After(patience):
			t.Fatalf("nobody told of %s\n%s", want, p.log)
		}
	}
	p.says(`level=WARN msg="ingest message attempt failing" about=ep_`, 1)
	if strings.Contains(p.log.String(), mailtest.Password) {
		t.Errorf("the log:\n%s", p.log)
	}
	// At the stop the mail that waits for others goes out.
	p.stop()
	if got := office.Letters(); len(got) != 2 || !strings.Contains(got[1].Data, "has failed 4 times at endpoint") {
		t.Errorf("mails %+v", got)
	}
}
