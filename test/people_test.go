package test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The first start leaves a link that signs the administrator in, once; only he can read it.
func TestFirstStartLeavesALinkThatSignsInOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := writeConfig(t, dir, freeAddress(t), veriffSecret, endpointsYAML("http://127.0.0.1:9/"))
	p := serve(t, config)
	path := filepath.Join(dir, "data", "sign-in-link")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the link's file has the mode %v, %v", info.Mode(), err)
	}
	link := strings.TrimSpace(string(raw))
	at, token, ok := strings.Cut(link, "/#/welcome?token=")
	if !ok || at != p.url || strings.Contains(p.log.String(), token) {
		t.Fatalf("the link is %s, and the log:\n%s", link, p.log)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	ask := func(client *http.Client, method, path string, body any) int {
		t.Helper()
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequest(method, p.url+path, bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Origin", p.url)
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	const session = "/api/v1/auth/session"
	for _, step := range []struct {
		client       *http.Client
		method, path string
		body         any
		want         int
	}{
		{browser, "GET", "/api/v1/user", nil, 401},
		{browser, "POST", session + "/link", map[string]string{"token": token}, 200},
		{&http.Client{}, "POST", session + "/link", map[string]string{"token": token}, 401},
		{browser, "POST", session + "/password", map[string]string{"password": "correct horse battery"}, 200},
		{browser, "GET", "/api/v1/user", nil, 200},
		{browser, "DELETE", session, nil, 204},
		{browser, "GET", "/api/v1/user", nil, 401},
		{browser, "POST", session, map[string]string{"name": "admin", "password": "correct horse battery"}, 200},
		{browser, "GET", "/api/v1/user", nil, 200},
	} {
		if got := ask(step.client, step.method, step.path, step.body); got != step.want {
			t.Fatalf("%s %s: %d, %d is right", step.method, step.path, got, step.want)
		}
	}
	// A command through the socket takes what the browser has away.
	if out, code := sigpost(t, "", "user", "disable", "admin", "--data", filepath.Join(dir, "data")); code != 0 {
		t.Fatal(out)
	}
	if got := ask(browser, "GET", "/api/v1/user", nil); got != 401 {
		t.Errorf("after he was disabled: %d", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	p.stop()
	serve(t, config)
	if _, err := os.Stat(path); err == nil {
		t.Error("the second start left a link, too")
	}
}
