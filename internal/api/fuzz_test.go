package api_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	fuzzSeed     = flag.Uint64("fuzz-seed", 0, "seed of the requests made from the document; 0 is another one each time")
	fuzzRequests = flag.Int("fuzz-requests", 2000, "how many requests are made from the document")
)

// fuzzRun is one run of requests and what is known of their answers.
type fuzzRun struct {
	h        *harness
	mu       sync.Mutex // of all but the harness: requests are made one by one, and answered together
	gen      *fuzzGen
	faults   int
	sent     int
	made     map[string]bool // the endpoints that an answer told of
	statuses map[int]int
	done     map[string]bool // operations that succeeded once
}

// Requests made from the OpenAPI document, right ones and wrong ones, are answered
// as the document says, never with a fault of the server; and what they leave
// behind is whole.
func TestTheAPIKeepsToItsDocument(t *testing.T) {
	t.Parallel()
	fuzz(t, *fuzzRequests, 1)
}

// fuzz makes requests from the document, by several clients at once if asked to,
// and looks at what is left.
func fuzz(t *testing.T, requests, clients int) {
	seed := *fuzzSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	defer func() {
		if t.Failed() {
			t.Logf("again: go test ./internal/api -run '^%s$' -fuzz-seed %d -fuzz-requests %d", t.Name(), seed, *fuzzRequests)
		}
	}()
	f := newFuzzRun(t, rand.New(rand.NewPCG(seed, 0)))
	f.settle()
	begin := time.Now()
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for r := f.next(requests); r != nil; r = f.next(requests) {
				f.try(r)
			}
		})
	}
	all.Wait()
	t.Logf("%d requests in %v: %v; %d of %d operations succeeded", f.sent, time.Since(begin).Round(time.Millisecond), f.statuses, len(f.done), len(f.gen.doc.ops))
	if requests >= 2000 && len(f.done) < len(f.gen.doc.ops)*3/4 {
		t.Errorf("only %d of %d operations succeeded: the requests are too bad to find much", len(f.done), len(f.gen.doc.ops))
	}
	f.whole()
}

// next is the next request; nil after the last one, or when enough went wrong.
func (f *fuzzRun) next(requests int) *fuzzRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	const enough = 20
	if f.sent >= requests || f.faults >= enough {
		return nil
	}
	f.sent++
	return f.gen.request()
}

func newFuzzRun(t *testing.T, rng *rand.Rand) *fuzzRun {
	t.Helper()
	h := newHarness(t)
	raw, err := h.server.API().DocumentJSON()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := readFuzzDoc(raw)
	if err != nil {
		t.Fatal(err)
	}
	f := &fuzzRun{h: h, gen: newFuzzGen(rng, doc), made: map[string]bool{}, statuses: map[int]int{}, done: map[string]bool{}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, err := strconv.Atoi(strings.Split(r.URL.Path, "/")[1])
		if err != nil {
			status = http.StatusOK
		}
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Location", "/200")
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	f.gen.receiver = s.URL
	return f
}

// settle makes what requests alone would hardly come to: callers of every kind, and
// webhooks that were rejected.
func (f *fuzzRun) settle() {
	h := f.h
	h.t.Helper()
	app := h.app("first")
	bearer := func(text string) string { return "Bearer " + text }
	other := h.as(jwtOf(h.t, "org_others", ""))
	f.gen.tokens = []string{bearer(h.token)}
	f.gen.strange = []string{
		"", "Bearer", "Bearer ", "bearer " + h.token, "Basic YTpi", bearer("x"), bearer("a.b.c"), bearer(strings.Repeat("a", 9000)), bearer("sigpost_\xff"), bearer(h.token + "x"),
		bearer("eyJhbGciOiJub25lIn0.eyJzdWIiOiJvcmdfdGVzdHMifQ."), bearer(jwtOf(h.t, "org_tests", app)), bearer(jwtOf(h.t, "org_others", app)), bearer(other.token),
		bearer(jwtOf(h.t, "org_others", other.app("theirs"))), bearer(jwtOf(h.t, "org_\x00", "")), bearer(jwtOf(h.t, "org_"+strings.Repeat("x", 100), "")), bearer(jwtOf(h.t, "nobody", "")),
	}
	for _, scope := range []string{"admin", "developer", "viewer", "send"} {
		token := h.must(http.StatusCreated, "POST", "/api/v1/auth/token", map[string]any{"name": scope, "scope": scope})["token"].(string)
		f.gen.strange = append(f.gen.strange, bearer(token))
	}
	source := map[string]any{"name": "in", "type": "veriff", "config": map[string]any{"secret": veriffSecret}}
	made := h.must(http.StatusCreated, "POST", sources, source)
	for i := range 5 {
		h.post(made["ingestUrl"].(string), fmt.Sprintf(`{"status":"success","n":%d}`, i), veriffOther)
	}
	source["secrets"] = []string{veriffOther, veriffSecret}
	delete(source, "config")
	h.must(http.StatusOK, "PUT", sources+"/"+made["id"].(string), source)
	for _, path := range []string{"/api/v1/app", sources, "/api/v1/rejected"} {
		f.gen.pool.learn(h.must(http.StatusOK, "GET", path, nil), "", "")
	}
}

// try makes a request, judges the answer and learns from it.
func (f *fuzzRun) try(r *fuzzRequest) {
	target, err := url.ParseRequestURI(r.path)
	if err != nil {
		return // no server would read it
	}
	if target.RawQuery = r.query.Encode(); r.raw != "" {
		target.RawQuery = r.raw
	}
	text := r.json()
	w := f.send(r, target, text)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.statuses[w.Code]++
	op := f.gen.doc.match(r.method, r.path)
	v, wrong := f.judge(op, r, w)
	if wrong != "" {
		f.faults++
		f.h.t.Errorf("%s\n%s %s (%s; changed: %q) %q\n%.1500s\n-> %d %v\n%.600s", wrong, r.method, target, r.op.ID, r.changed, r.header, text, w.Code, w.Header(), w.Body)
		return
	}
	if op == nil || w.Code >= http.StatusMultipleChoices || r.method == "HEAD" {
		return
	}
	f.done[op.ID] = true
	if op == r.op {
		f.learn(r, v, text)
	}
}

func (f *fuzzRun) send(r *fuzzRequest, target *url.URL, text string) *httptest.ResponseRecorder {
	ctx := context.Background()
	if target.Path == "/api/v1/stream" || target.Path == "/api/v1/stream/" {
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		ctx = short
	}
	req := httptest.NewRequestWithContext(ctx, "GET", "/", strings.NewReader(text))
	req.Method, req.URL, req.RequestURI = r.method, target, target.RequestURI()
	if r.token != "" {
		req.Header.Set("Authorization", r.token)
	}
	if text != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range r.header {
		req.Header.Set(h[0], h[1])
	}
	w := httptest.NewRecorder()
	f.h.server.API().ServeHTTP(w, req)
	return w
}

// judge says what is wrong with an answer, and what its body says.
func (f *fuzzRun) judge(op *fuzzOp, r *fuzzRequest, w *httptest.ResponseRecorder) (any, string) {
	switch {
	case w.Code >= 500:
		return nil, "a fault of the server"
	case w.Code == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "":
		return nil, "401 does not say how to authenticate"
	case w.Code == http.StatusMethodNotAllowed && w.Header().Get("Allow") == "":
		return nil, "405 does not say what is allowed"
	case op == nil && w.Code != http.StatusNotFound && w.Code != http.StatusMethodNotAllowed:
		return nil, "there is no such operation"
	case r.method == "HEAD":
		return nil, ""
	}
	content := fuzzContent{"application/json": {Schema: f.gen.doc.Components.Schemas["HTTPErrorOut"]}}
	if op != nil {
		declared, ok := op.Responses[strconv.Itoa(w.Code)]
		if !ok {
			return nil, "the status is not in the document"
		}
		content = declared.Content
	}
	if len(content) == 0 {
		if w.Body.Len() > 0 {
			return nil, "a body that is not in the document"
		}
		return nil, ""
	}
	kind, _, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
	media, ok := content[kind]
	if err != nil || !ok {
		return nil, "the content type is not in the document"
	}
	if kind == "text/event-stream" {
		return nil, f.judgeStream(w.Body.String(), media.Schema)
	}
	if kind != "application/json" {
		return nil, "" // a file
	}
	v, err := oneJSON(w.Body.String())
	if err != nil {
		return nil, err.Error()
	}
	if wrong := f.gen.doc.judge(v, media.Schema, "answer"); wrong != "" {
		return v, wrong
	}
	return v, judgeError(w.Code, v)
}

// judgeError wants errors to say something.
func judgeError(status int, v any) string {
	m, _ := v.(map[string]any)
	list, isList := m["detail"].([]any)
	switch {
	case status < 400:
		return ""
	case status == http.StatusUnprocessableEntity && (!isList || len(list) == 0):
		return "422 without a list of faults"
	case status != http.StatusUnprocessableEntity && (m["code"] == "" || m["detail"] == ""):
		return "an error without code or detail"
	}
	for _, one := range list {
		if one := one.(map[string]any); len(one["loc"].([]any)) == 0 || one["msg"] == "" {
			return "422 with a fault that does not say what or where"
		}
	}
	return ""
}

// oneJSON reads one JSON value and nothing after it.
func oneJSON(text string) (v any, err error) {
	if text != strings.ToValidUTF8(text, "") {
		return nil, fmt.Errorf("the body is not UTF-8")
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("the body is not JSON: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("the body goes on after the JSON")
	}
	return v, nil
}

// judgeStream holds each event of a stream to the schema.
func (f *fuzzRun) judgeStream(text string, s *fuzzSchema) string {
	for line := range strings.SplitSeq(text, "\n") {
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		v, err := oneJSON(data)
		if err != nil {
			return err.Error()
		}
		if wrong := f.gen.doc.judge(v, s, "event"); wrong != "" {
			return wrong
		}
	}
	return ""
}

// learn keeps what an answer tells, and takes away what must not stay: an endpoint
// whose host would have to be looked up.
func (f *fuzzRun) learn(r *fuzzRequest, v any, text string) {
	g, m := f.gen, map[string]any{}
	if object, ok := v.(map[string]any); ok {
		m = object
	}
	g.pool.learn(v, r.owner(g.pool), r.op.ID)
	id, _ := m["id"].(string)
	if strings.HasPrefix(id, "ep_") {
		f.made[id] = true
	}
	if r.method == "DELETE" {
		for _, name := range slices.Sorted(maps.Keys(r.params)) {
			if strings.HasSuffix(r.op.path, "{"+name+"}") {
				g.pool.drop(r.params[name])
			}
		}
	}
	stored, _ := m["url"].(string)
	if !strings.Contains(text, ".invalid") && !strings.Contains(stored, ".invalid") || !strings.HasPrefix(id, "ep_") || r.method == "GET" {
		return
	}
	path := r.path
	if r.method == "POST" {
		path += "/" + id
	}
	if w := f.h.send("DELETE", path, nil); w.Code != http.StatusNoContent && w.Code != http.StatusNotFound {
		f.h.t.Errorf("DELETE %s: %d %s", path, w.Code, w.Body)
	}
}
