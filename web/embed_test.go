package web

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
)

func handler(t *testing.T, o Options) *Handler {
	t.Helper()
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// ask sends a request, with headers as pairs of name and value.
func ask(h http.Handler, method, path string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// assets are the paths of a kind of file that the page needs at once.
func assets(t *testing.T, h *Handler) []string {
	t.Helper()
	html := text(t, ask(h, http.MethodGet, "/"))
	var found []string
	for _, m := range regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`).FindAllStringSubmatch(html, -1) {
		found = append(found, m[1])
	}
	if len(found) < 2 {
		t.Fatalf("the page names %d scripts and style sheets: %s", len(found), html)
	}
	return found
}

func TestPagesAllowNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	h := handler(t, Options{FrameAncestors: func(*http.Request) []string { return []string{"https://app.example", "https://b.example"} }})
	const most = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "
	for path, ancestors := range map[string]string{"/": "'none'", "/portal": "https://app.example https://b.example"} {
		r := ask(h, http.MethodGet, path)
		if got := r.Header.Get("Content-Security-Policy"); got != most+ancestors {
			t.Errorf("%s: policy is %q", path, got)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache", "Content-Type": "text/html; charset=utf-8",
			"Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
	for name, o := range map[string]Options{"nobody is asked": {}, "nobody may": {FrameAncestors: func(*http.Request) []string { return nil }}} {
		if got := ask(handler(t, o), http.MethodGet, "/portal").Header.Get("Content-Security-Policy"); got != most+"'none'" {
			t.Errorf("%s: the portal's policy is %q", name, got)
		}
	}
}

func TestPageHasNothingInline(t *testing.T) {
	t.Parallel()
	html := text(t, ask(handler(t, Options{}), http.MethodGet, "/"))
	for _, forbidden := range []string{"<style", " style=", " onload=", " onclick=", "<script>", "http://", "https://"} {
		if strings.Contains(html, forbidden) {
			t.Errorf("the page contains %q", forbidden)
		}
	}
}

// CSS and scripts may not ask for what the policy refuses.
func TestFilesLoadNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	loads := regexp.MustCompile(`(?:url\(|import\(|from|src=|href=)\s*["'` + "`" + `]?(?:https?:)?//`)
	err := fs.WalkDir(dist, "dist", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := dist.ReadFile(name)
		if m := loads.Find(raw); m != nil {
			t.Errorf("%s loads something from elsewhere: %s", name, m)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAssetsAreKeptForEverAndCompressed(t *testing.T) {
	t.Parallel()
	h := handler(t, Options{})
	for _, path := range assets(t, h) {
		plain := ask(h, http.MethodGet, path)
		if plain.Header.Get("Content-Encoding") != "" || plain.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" || plain.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: headers are %v", path, plain.Header)
		}
		want := text(t, plain)
		for accept, zipped := range map[string]bool{"gzip, br": true, "br;q=1.0, GZIP;q=0.5": true, "br": false, "gzip;q=0": false, "": false} {
			r := ask(h, http.MethodGet, path, "Accept-Encoding", accept)
			if got := r.Header.Get("Content-Encoding") == "gzip"; got != zipped {
				t.Errorf("%s: Accept-Encoding %q: compressed is %v", path, accept, got)
				continue
			}
			if !zipped {
				continue
			}
			z, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(z); err != nil || string(got) != want {
				t.Errorf("%s: what was compressed differs, %v", path, err)
			}
		}
	}
}

func TestWhatIsKnownIsNotSentAgain(t *testing.T) {
	t.Parallel()
	h := handler(t, Options{})
	for _, accept := range []string{"", "gzip"} {
		tag := ask(h, http.MethodGet, "/", "Accept-Encoding", accept).Header.Get("ETag")
		for _, known := range []string{tag, "W/" + tag, `"other", ` + tag} {
			r := ask(h, http.MethodGet, "/", "Accept-Encoding", accept, "If-None-Match", known)
			if r.StatusCode != http.StatusNotModified || text(t, r) != "" {
				t.Errorf("If-None-Match %s: %d", known, r.StatusCode)
			}
			if r.Header.Get("Content-Security-Policy") == "" {
				t.Error("304 lost the policy")
			}
		}
	}
	if r := ask(h, http.MethodGet, "/", "If-None-Match", `"other"`); r.StatusCode != http.StatusOK {
		t.Errorf("another version: %d", r.StatusCode)
	}
}

func TestOnlyFilesAreServed(t *testing.T) {
	t.Parallel()
	h := handler(t, Options{})
	for _, path := range []string{"/index.html", "/portal/", "/portalx", "/assets", "/assets/", "/assets/../index.html", "/dist/index.html", "/embed.go", "//", "/nope"} {
		if h.Serves(path) {
			t.Errorf("%s is served", path)
		}
	}
	r := ask(h, http.MethodPost, "/")
	if r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, Allow %q", r.StatusCode, r.Header.Get("Allow"))
	}
	head := ask(h, http.MethodHead, "/")
	if head.StatusCode != http.StatusOK || text(t, head) != "" || head.Header.Get("Content-Length") == "" {
		t.Errorf("HEAD: %d %v", head.StatusCode, head.Header)
	}
}

// What a browser loads before it shows anything, compressed. The limit is what
// a slow line brings within a second.
func TestFirstLoadIsSmall(t *testing.T) {
	t.Parallel()
	const limit = 100_000
	h, total := handler(t, Options{}), 0
	for _, path := range append(assets(t, h), "/") {
		total += len(text(t, ask(h, http.MethodGet, path, "Accept-Encoding", "gzip")))
	}
	t.Logf("%d bytes", total)
	if total > limit {
		t.Errorf("the first load is %d bytes, more than %d", total, limit)
	}
}

func TestFewPackagesRunInTheBrowser(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("package.json")
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		Dependencies map[string]string `json:"dependencies"`
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Dependencies) != 1 || p.Dependencies["svelte"] == "" {
		t.Errorf("run-time packages are %v; Svelte was enough so far", p.Dependencies)
	}
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(lock, []byte(`"resolved"`)) {
		t.Error("package-lock.json names a registry's host; .npmrc keeps it out")
	}
}

// The page speaks the public API: each path in its source stands in the document.
func TestPageAsksOnlyWhatTheAPIHas(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../api/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		t.Fatal(err)
	}
	variable, hole := regexp.MustCompile(`\{[^}]*\}`), regexp.MustCompile(`\$\{[^}]*\}`)
	known := map[string]bool{}
	for p := range document.Paths {
		parts := strings.Split(strings.Trim(variable.ReplaceAllString(p, "*"), "/"), "/")
		for i := range parts { // a path that goes on in another place
			known["/"+strings.Join(parts[:i+1], "/")] = true
		}
	}
	literal := regexp.MustCompile("[\"`](/(?:api|ingest/api)/v1/[^\"`?]*)")
	asked := 0
	err = fs.WalkDir(os.DirFS("src"), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, ".d.ts") {
			return err
		}
		raw, err := os.ReadFile("src/" + name)
		for _, m := range literal.FindAllSubmatch(raw, -1) {
			asked++
			if p := strings.TrimSuffix(hole.ReplaceAllString(string(m[1]), "*"), "/"); !known[p] {
				t.Errorf("%s asks %s, which the API does not have", name, m[1])
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if asked < 40 {
		t.Errorf("only %d paths were found", asked)
	}
}
