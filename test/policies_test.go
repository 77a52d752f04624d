package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

func TestABrokenConfigurationLeavesTheOldOneInForce(t *testing.T) {
	t.Parallel()
	app, url := newApplication(t)
	dir := t.TempDir()
	listen := freeAddress(t)
	p := serve(t, writeConfig(t, dir, listen, veriffSecret, endpointsYAML(url)))
	for i, broken := range []string{"\tno: [yaml", "", "sources: 5\n", "listen: x\nsources:\n  - {name: veriff-prod, provider: verif}\n"} {
		if broken == "" {
			if err := os.Remove(filepath.Join(dir, "sigpost.yaml")); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(filepath.Join(dir, "sigpost.yaml"), []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return strings.Count(p.log.String(), "the old one stays in force") == i+1 })
		alive(t, p, app, fmt.Sprintf("broken configuration %d", i))
	}
}

func TestAStopUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	l := newLedger()
	receiver := httptest.NewServer(l)
	defer receiver.Close()
	config := writeConfig(t, t.TempDir(), freeAddress(t), veriffSecret, endpointsYAML(receiver.URL))
	for round := range 3 {
		p := serve(t, config)
		var wg sync.WaitGroup
		var enough atomic.Int32
		for worker := range 16 {
			wg.Go(func() {
				client := &http.Client{Transport: &http.Transport{}}
				defer client.CloseIdleConnections()
				for n := range 10_000 {
					body := fmt.Sprintf(`{"round":%d,"worker":%d,"n":%d}`, round, worker, n)
					status, id, err := post(client, p.url, []byte(body), sign([]byte(body)))
					if err != nil {
						return // it is gone
					}
					if status == http.StatusOK {
						l.promise(id, body)
					} else if status != http.StatusServiceUnavailable {
						t.Errorf("answered %d", status)
					}
					if enough.Add(1) == 200 {
						if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		wg.Wait()
		err := <-p.done
		p.done <- err
		if err != nil {
			t.Errorf("ended with %v\n%s", err, tail(p.log.String()))
		}
	}
	p := serve(t, config)
	await(t, l, p)
}

func TestConfigCheckReportsAllFaultsTogether(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sigpost.yaml")
	text := `listen: nowhere
datta: ./x
sources:
  - name: "a b"
    provider: verif
    secrets: ["${SIGPOST_TEST_UNSET_VARIABLE}"]
  - name: b
    provider: veriff
    secrets: [short]
    max_body: 21MiB
    on_duplicate: dorp
    endpoints:
      - url: ftp://example.com/
      - url: https://example.com:99999/
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := sigpost(t, "", "config", "check", path)
	if code == 0 {
		t.Errorf("exit %d", code)
	}
	for _, want := range []string{"listen:", `did you mean "data"`, "sources[0].name", `did you mean "veriff"`, "SIGPOST_TEST_UNSET_VARIABLE", "sources[1].secrets[0]",
		"sources[1].max_body", `did you mean "drop"`, "sources[1].endpoints[0].url", "sources[1].endpoints[1].url"} {
		if !strings.Contains(out, want) {
			t.Errorf("nothing about %s:\n%s", want, out)
		}
	}
	if strings.Contains(out, "short") {
		t.Errorf("it prints a secret:\n%s", out)
	}
}

func TestQuarantineKeepsAndAcceptLetsInOnce(t *testing.T) {
	t.Parallel()
	app, url := newApplication(t)
	dir := t.TempDir()
	listen, data := freeAddress(t), filepath.Join(dir, "data")
	quarantine := "    on_bad_signature: quarantine\n" + endpointsYAML(url)
	p := serve(t, sourceConfig(t, dir, listen, quarantine, loopbackAllowed))
	body := []byte(`{"held":1}`)
	if status, id, err := post(http.DefaultClient, p.url, body, strings.Repeat("0", 64)); err != nil || status != http.StatusOK || id != "" {
		t.Errorf("a bad signature in quarantine: %d %q %v", status, id, err)
	}
	var list struct {
		Data []struct {
			ID          string
			Quarantined bool
		}
	}
	out, code := sigpost(t, "", "rejected", "list", "--json", "--data", data)
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != 0 || len(list.Data) != 1 || !list.Data[0].Quarantined {
		t.Fatalf("rejected list: %d %v\n%s", code, err, out)
	}
	if out, code := sigpost(t, "", "rejected", "accept", list.Data[0].ID, "--data", data); code != 1 || !strings.Contains(out, "still does not verify") {
		t.Errorf("rejected accept of a forgery: %d\n%s", code, out)
	}
	alive(t, p, app, "quarantine")
	for _, id := range []string{"rej_" + strings.Repeat("0", 27), "rej_x", "msg_" + strings.Repeat("A", 27), "", "../../etc/passwd", list.Data[0].ID + "'", strings.Repeat("é", 40)} {
		for _, command := range [][]string{{"rejected", "show"}, {"rejected", "accept"}, {"message", "show"}, {"message", "resend"}} {
			if out, code := sigpost(t, "", append(command, "--data", data, "--", id)...); code == 0 || strings.Contains(out, "goroutine ") {
				t.Errorf("%v %q: %d\n%s", command, id, code, out)
			}
		}
	}
}

func TestAcceptingTwiceMakesOneMessage(t *testing.T) {
	t.Parallel()
	app, url := newApplication(t)
	dir := t.TempDir()
	listen, data := freeAddress(t), filepath.Join(dir, "data")
	p := serve(t, writeConfig(t, dir, listen, "99999999-2222-3333-4444-555555555555", endpointsYAML(url)))
	for range 2 { // the same event refused twice
		if status, _, err := post(http.DefaultClient, p.url, []byte(`{"a":1}`), sign([]byte(`{"a":1}`))); err != nil || status != http.StatusUnauthorized {
			t.Fatalf("answered %d, %v", status, err)
		}
	}
	newest, oldest := rejectedIDs(t, data)
	writeConfig(t, dir, listen, veriffSecret, endpointsYAML(url))
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return strings.Contains(p.log.String(), "configuration applied") })
	seen := map[string]bool{}
	for _, id := range []string{newest, newest, oldest, newest} {
		out, code := sigpost(t, "", "rejected", "accept", id, "--json", "--data", data)
		var accepted struct{ MsgID string }
		if err := json.Unmarshal([]byte(out), &accepted); err != nil || code != 0 {
			t.Fatalf("rejected accept: %d %v\n%s", code, err, out)
		}
		seen[accepted.MsgID] = true
	}
	if len(seen) != 1 {
		t.Errorf("it became %v", seen)
	}
	app.next()
	p.stop()
	if len(app.got) != 0 {
		t.Error("it was delivered again")
	}
}

func TestPoliciesOfASource(t *testing.T) {
	t.Parallel()
	app, url := newApplication(t)
	body := []byte(`{"b":[1,2.0,"x"],"a":{"d":1,"c":null}}`)
	p := serve(t, sourceConfig(t, t.TempDir(), freeAddress(t), "    on_duplicate: forward\n    auth_client: 8e4f7cd8-7a19-4d7d-971f-a076407ee03c\n"+endpointsYAML(url), loopbackAllowed))
	_, first, err := post(http.DefaultClient, p.url, body, sign(body))
	if err != nil {
		t.Fatal(err)
	}
	a := app.next()
	other := []byte(" {\"a\": {\"c\":null,\"d\" :1},\r\n\"b\":[1, 2.0,\t\"x\"] }\n")
	if status, again, err := post(http.DefaultClient, p.url, other, sign(other)); err != nil || status != http.StatusOK || again != first {
		t.Errorf("another layout: %d %q, %v; 200 and %q are right", status, again, err, first)
	}
	if b := app.next(); b.header.Get("webhook-id") != a.header.Get("webhook-id") {
		t.Errorf("the duplicate goes on as %s, the first as %s", b.header.Get("webhook-id"), a.header.Get("webhook-id"))
	}
	for _, different := range []string{`{"b":[1,2,"x"],"a":{"d":1,"c":null}}`, `{"b":[2.0,1,"x"],"a":{"d":1,"c":null}}`, `{"b":[1,2.0,"x"],"a":{"d":1}}`, `{"b":[1,2.0,"x "],"a":{"d":1,"c":null}}`,
		`{"b":[12345678901234567890]}`, `{"b":[12345678901234567891]}`, "{\"b\":\"\\ud800\"}", "{\"b\":\"\\ud801\"}", "{\"b\":\"\xff\"}", "{\"b\":\"\xfe\"}"} {
		status, id, err := post(http.DefaultClient, p.url, []byte(different), sign([]byte(different)))
		if err != nil || status != http.StatusOK || id == first {
			t.Errorf("%q is other content: %d %q, %v", different, status, id, err)
		}
		if got := app.next(); string(got.body) != different {
			t.Errorf("%q arrives as %q", different, got.body)
		}
	}
	for _, client := range []string{"", "wrong", "8E4F7CD8-7A19-4D7D-971F-A076407EE03C"} {
		req, err := http.NewRequest(http.MethodPost, p.url+"/in/veriff-prod", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-HMAC-SIGNATURE", sign([]byte("x")))
		req.Header.Set("X-AUTH-CLIENT", client)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("client key %q: %d, 401 is right", client, res.StatusCode)
		}
	}
	elsewhere := serve(t, sourceConfig(t, t.TempDir(), freeAddress(t), "    allow_ips: [\"203.0.113.0/24\"]\n", ""))
	req, err := http.NewRequest(http.MethodPost, elsewhere.url+"/in/veriff-prod", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-HMAC-SIGNATURE", sign(body))
	req.Header.Set("X-Forwarded-For", "203.0.113.7")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("a forged address: %d, 403 is right", res.StatusCode)
	}
}

func TestLogsCarryNoSecretsBodiesOrHeaderValues(t *testing.T) {
	t.Parallel()
	app, url := newApplication(t)
	const marker = "PLANTED"
	dir := t.TempDir()
	source := fmt.Sprintf("    auth_client: %[1]s-client\n%[2]s        name: app\n        headers: {X-Own: %[1]s-header}\n      - {name: broken, url: 'http://%[3]s/?key=%[1]s-query', timeout: 1s}\n", marker, endpointsYAML(url), freeAddress(t))
	p := serve(t, sourceConfig(t, dir, freeAddress(t), source, loopbackAllowed+"log: {level: debug}\n"))
	for i, signed := range []bool{true, false, true} {
		body := []byte(fmt.Sprintf(`{"n":%d,"name":"%s-body"}`, i, marker))
		req, err := http.NewRequest(http.MethodPost, p.url+"/in/veriff-prod?q="+marker+"-url", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-AUTH-CLIENT", marker+"-client")
		req.Header.Set("X-Other", marker+"-value")
		req.Header.Set("Authorization", "Bearer "+marker)
		req.Header.Set("X-HMAC-SIGNATURE", marker)
		if signed {
			req.Header.Set("X-HMAC-SIGNATURE", sign(body))
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if strings.Contains(string(answer), marker) {
			t.Errorf("answered %s", answer)
		}
		if signed {
			for _, values := range app.next().header {
				for _, v := range values {
					if strings.Contains(v, marker) && v != marker+"-header" && v != marker+"-value" {
						t.Errorf("forwarded: %s", v)
					}
				}
			}
		}
	}
	for _, text := range []string{"POST /in/veriff-prod HTTP/1.1\r\nHost: x\r\nX: " + marker + "\x00\r\n\r\n", marker + "\r\n\r\n", "POST /in/" + marker + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"POST /in/veriff-prod HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + marker + "\r\n"} {
		say(t, p.url, text, 1)
	}
	waitFor(t, func() bool { return strings.Count(p.log.String(), "endpoint=broken") == 2 })
	p.stop()
	for _, secret := range []string{marker, veriffSecret, webhookSecret, strings.TrimPrefix(webhookSecret, "whsec_")} {
		if log := p.log.String(); strings.Contains(log, secret) {
			t.Errorf("%s stands in the log:\n%s", secret, tail(log))
		}
	}
}
