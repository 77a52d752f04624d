package test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const publishedSignature = "01fa3ded011bfce75672c99877a6cc1cf7aeaeda0ccb6b43fc21b60f595063c2"

// application is a receiver that verifies with the official Standard Webhooks library.
type application struct {
	t        *testing.T
	verifier *standardwebhooks.Webhook
	got      chan delivered
}

type delivered struct {
	body   []byte
	header http.Header
}

func newApplication(t *testing.T) (*application, string) {
	t.Helper()
	v, err := standardwebhooks.NewWebhook(webhookSecret)
	if err != nil {
		t.Fatal(err)
	}
	a := &application{t: t, verifier: v, got: make(chan delivered, 100)}
	srv := httptest.NewServer(a)
	t.Cleanup(srv.Close)
	return a, srv.URL + "/hook"
}

func (a *application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		a.t.Error(err)
	}
	if err := a.verifier.Verify(body, r.Header); err != nil {
		a.t.Errorf("the official library refuses it: %v", err)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	a.got <- delivered{body, r.Header}
}

func (a *application) next() delivered {
	a.t.Helper()
	select {
	case d := <-a.got:
		return d
	case <-time.After(patience):
		a.t.Fatal("nothing was delivered")
		panic("unreachable")
	}
}

func veriffDecision(t *testing.T) []byte {
	t.Helper()
	body, err := os.ReadFile("testdata/veriff-decision.json")
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// The way of a real provider's webhook, with everything that can go wrong on it.
func TestVeriffDecisionFromProviderToApplication(t *testing.T) {
	t.Parallel()
	app, url := newApplication(t)
	dir := t.TempDir()
	listen := freeAddress(t)
	config := writeConfig(t, dir, listen, veriffSecret, endpointsYAML(url))
	p := serve(t, config)
	body := veriffDecision(t)

	status, id, err := post(http.DefaultClient, p.url, body, publishedSignature)
	if err != nil || status != http.StatusOK || !strings.HasPrefix(id, "msg_") {
		t.Fatalf("answered %d %q, %v", status, id, err)
	}
	got := app.next()
	if !bytes.Equal(got.body, body) {
		t.Errorf("%d bytes arrived, %d were sent, and they differ", len(got.body), len(body))
	}
	for name, want := range map[string]string{
		"webhook-id": id, "sigpost-source": "veriff-prod", "sigpost-event-type": "veriff.decision.approved", "content-type": "application/json",
		"x-hmac-signature": publishedSignature, "sigpost-hops": "1",
	} {
		if v := got.header.Get(name); v != want {
			t.Errorf("%s: %q, %q is right", name, v, want)
		}
	}
	if s := got.header.Get("sigpost-subject"); !strings.HasPrefix(s, `session="12df6045-3846-3e45-946a-14fa6136d78b"`) {
		t.Errorf("sigpost-subject: %s", s)
	}

	status, again, err := post(http.DefaultClient, p.url, body, publishedSignature)
	if err != nil || status != http.StatusOK || again != id {
		t.Errorf("the same again: %d %q, %v; 200 and %q are right", status, again, err, id)
	}

	changed := bytes.Replace(body, []byte("SARAH"), []byte("SARAI"), 1)
	if status, _, err := post(http.DefaultClient, p.url, changed, publishedSignature); err != nil || status != http.StatusUnauthorized {
		t.Errorf("one changed byte: %d, %v", status, err)
	}
	if out, code := sigpost(t, "", "message", "show", id, "--data", filepath.Join(dir, "data")); code != 0 || !strings.Contains(out, "duplicates  1") || !strings.Contains(out, "delivered") {
		t.Errorf("message show: %d\n%s", code, out)
	}
	p.stop()

	// Stopped, the same commands work on the directory.
	if out, code := sigpost(t, "", "message", "list", "--data", filepath.Join(dir, "data")); code != 0 || !strings.Contains(out, id) {
		t.Errorf("message list of a stopped server: %d\n%s", code, out)
	}
}

// A wrong secret: refused, explained, mended, let in, delivered.
func TestRejectedIsExplainedAndAcceptedAfterTheSecretWasMended(t *testing.T) {
	t.Parallel()
	app, url := newApplication(t)
	dir := t.TempDir()
	listen, data := freeAddress(t), filepath.Join(dir, "data")
	config := writeConfig(t, dir, listen, "11111111-2222-3333-4444-555555555555", endpointsYAML(url))
	p := serve(t, config)
	body := veriffDecision(t)
	if status, _, err := post(http.DefaultClient, p.url, body, publishedSignature); err != nil || status != http.StatusUnauthorized {
		t.Fatalf("with the wrong secret: %d, %v", status, err)
	}
	if status, _, err := post(http.DefaultClient, p.url, append(body, '\n'), sign(body)); err != nil || status != http.StatusUnauthorized {
		t.Fatalf("with a newline: %d, %v", status, err)
	}
	newline, wrong := rejectedIDs(t, data)

	writeConfig(t, dir, listen, veriffSecret, endpointsYAML(url))
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return strings.Contains(p.log.String(), "configuration applied") })

	if out, code := sigpost(t, "", "rejected", "show", newline, "--data", data); code != 0 || !strings.Contains(out, "newline") {
		t.Errorf("rejected show of the one with a newline: %d\n%s", code, out)
	}
	if out, code := sigpost(t, "", "rejected", "accept", newline, "--data", data); code != 1 || !strings.Contains(out, "still does not verify") {
		t.Errorf("rejected accept of the one with a newline: %d\n%s", code, out)
	}
	if out, code := sigpost(t, "", "rejected", "show", wrong, "--data", data); code != 0 || !strings.Contains(out, "rejected accept "+wrong) {
		t.Errorf("rejected show after the secret was mended: %d\n%s", code, out)
	}
	if out, code := sigpost(t, "", "rejected", "accept", wrong, "--data", data); code != 0 || !strings.Contains(out, "msg_") {
		t.Errorf("rejected accept: %d\n%s", code, out)
	}
	if got := app.next(); !bytes.Equal(got.body, body) {
		t.Error("what was let in differs from what was sent")
	}
}

// rejectedIDs are the two rejected requests, the newest first.
func rejectedIDs(t *testing.T, data string) (newest, oldest string) {
	t.Helper()
	var list struct{ Data []struct{ ID string } }
	waitFor(t, func() bool {
		out, code := sigpost(t, "", "rejected", "list", "--json", "--data", data)
		if err := json.Unmarshal([]byte(out), &list); err != nil || code != 0 {
			t.Fatalf("rejected list: %d %v\n%s", code, err, out)
		}
		return len(list.Data) == 2
	})
	return list.Data[0].ID, list.Data[1].ID
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("it did not happen")
		}
	}
}

func TestSameEventFrom64ConnectionsIsOneMessage(t *testing.T) {
	t.Parallel()
	app, url := newApplication(t)
	p := serve(t, writeConfig(t, t.TempDir(), freeAddress(t), veriffSecret, endpointsYAML(url)))
	body := veriffDecision(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	ids := map[string]int{}
	for range 64 {
		wg.Go(func() {
			status, id, err := post(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, p.url, body, publishedSignature)
			mu.Lock()
			defer mu.Unlock()
			if err != nil || status != http.StatusOK {
				t.Errorf("answered %d, %v", status, err)
			}
			ids[id]++
		})
	}
	wg.Wait()
	if len(ids) != 1 {
		t.Errorf("64 equal requests made %d messages: %v", len(ids), ids)
	}
	app.next()
	p.stop() // and delivers what is queued
	if n := len(app.got); n != 0 {
		t.Errorf("it was delivered %d times more", n)
	}
}

func TestAProfileOfTheWholeRunIsWrittenAtItsEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config, path := writeConfig(t, dir, freeAddress(t), veriffSecret, ""), filepath.Join(dir, "cpu.pprof")
	p := launchWith(t, binary, config, nil, "--cpu-profile", path)
	p.ready()
	p.stop()
	out, err := exec.Command("go", "tool", "pprof", "-raw", path).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PeriodType: cpu nanoseconds") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, code := sigpost(t, "", "serve", "--config", config, "--cpu-profile", filepath.Join(dir, "no", "cpu.pprof")); code != 2 || !strings.Contains(out, "cpu-profile") {
		t.Errorf("where nothing can be written: exit %d\n%s", code, out)
	}
}

func TestSecondProcessOnOneDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serve(t, writeConfig(t, dir, freeAddress(t), veriffSecret, ""))
	_ = p
	out, code := sigpost(t, "", "serve", "--config", filepath.Join(dir, "sigpost.yaml"), "--listen", freeAddress(t))
	if code == 0 || !strings.Contains(out, "in use by another sigpost") {
		t.Errorf("a second process: %d\n%s", code, out)
	}
}

func TestDevOnceShowsFourProvidersDelivered(t *testing.T) {
	t.Parallel()
	out, code := sigpost(t, "", "dev", "--once")
	if code != 0 {
		t.Fatalf("exit %d\n%s", code, out)
	}
	for _, provider := range []string{"veriff", "metamap", "meeva", "meetbot"} {
		if !strings.Contains(out, provider) {
			t.Errorf("nothing about %s:\n%s", provider, out)
		}
	}
	if n := strings.Count(out, "delivered"); n != 4 {
		t.Errorf("%d delivered:\n%s", n, out)
	}
	if out, code := sigpost(t, "", "dev", "--once", "--forward", "http://"+freeAddress(t)); code != 1 || !strings.Contains(out, "refused") {
		t.Errorf("with nobody at the other end: exit %d\n%s", code, out)
	}
}

func TestMetricsAndHealth(t *testing.T) {
	t.Parallel()
	app, url := newApplication(t)
	config := writeConfig(t, t.TempDir(), freeAddress(t), veriffSecret, endpointsYAML(url))
	p := serve(t, config)
	if _, _, err := post(http.DefaultClient, p.url, veriffDecision(t), publishedSignature); err != nil {
		t.Fatal(err)
	}
	app.next()
	want := []string{
		`sigpost_accepted_total{source="veriff-prod"} 1`, `sigpost_deliveries_total{state="delivered"} 1`, `sigpost_attempts_total{outcome="delivered"} 1`,
		"sigpost_append_seconds_count 1", "sigpost_delivery_seconds_count 1", "sigpost_oldest_due_seconds 0",
	}
	var text string
	waitFor(t, func() bool {
		text = fetch(t, p.url+"/metrics")
		for _, line := range want {
			if !strings.Contains(text, line) {
				return false
			}
		}
		return true
	})
	if health := fetch(t, p.url+"/health"); !strings.Contains(health, "ok") {
		t.Errorf("health: %s", health)
	}
	for _, way := range []string{"--url=" + p.url, "--config=" + config} {
		if out, code := sigpost(t, "", "health", way); code != 0 || out != "ok\n" {
			t.Errorf("health %s: exit code %d, %s", way, code, out)
		}
	}
	if missing := fetch(t, p.url+"/nowhere"); !strings.Contains(missing, "not_found") {
		t.Errorf("an unknown path: %s", missing)
	}
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
