package api

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

func askReference(t *testing.T, method string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, ReferencePath, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	New(Options{Log: slog.New(slog.DiscardHandler)}).ServeReference(w, r)
	return w
}

// To look at the page, name a file in SIGPOST_REFERENCE_FILE.
func TestReferenceHasAllThatTheDocumentHas(t *testing.T) {
	t.Parallel()
	w := askReference(t, http.MethodGet)
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	if file := os.Getenv("SIGPOST_REFERENCE_FILE"); file != "" {
		if err := os.WriteFile(file, w.Body.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	page := w.Body.String()
	doc := New(Options{}).Document()
	count := 0
	for path, item := range doc.Paths {
		for _, o := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if o == nil {
				continue
			}
			count++
			id := strings.TrimPrefix(o.OperationID, "v1.")
			_, article, found := strings.Cut(page, `<article class="operation" id="`+id+`">`)
			article, _, _ = strings.Cut(article, "</article>")
			plain := html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(article, ""))
			if !found || !strings.Contains(plain, o.Method+path) || !strings.Contains(plain, o.Summary) {
				t.Errorf("%s %s is not there as it should be: %q", o.Method, path, plain)
			}
			for _, p := range o.Parameters {
				if !strings.Contains(article, "<code>"+p.Name+"</code>") {
					t.Errorf("%s has no parameter %s", id, p.Name)
				}
			}
			for status := range o.Responses {
				if !strings.Contains(plain, status) {
					t.Errorf("%s does not say %s", id, status)
				}
			}
			if !strings.Contains(page, `<li><a href="#`+id+`">`) {
				t.Errorf("%s is not in the contents", id)
			}
		}
	}
	if count < 80 {
		t.Errorf("the document has %d operations only", count)
	}
}

func TestReferenceNeedsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	w := askReference(t, http.MethodGet)
	page := w.Body.String()
	for _, bad := range []string{"<script", "<link", "<img", "@import", "url(", "http://", "https://", " style=", "javascript:", "ZgotmplZ"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
	_, style, _ := strings.Cut(page, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	sum := sha256.Sum256([]byte(style))
	policy := w.Header().Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
		t.Errorf("the policy %q does not let in the page's own style alone", policy)
	}
	for _, class := range regexp.MustCompile(`href="#([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(page, `id="`+class[1]+`"`) {
			t.Errorf("a link leads to #%s, which is not there", class[1])
		}
	}
}

func TestReferenceIsSentOnceToWhoKeepsIt(t *testing.T) {
	t.Parallel()
	first := askReference(t, http.MethodGet)
	tests := map[string]struct {
		method string
		header []string
		status int
		empty  bool
	}{
		"again with the tag":     {http.MethodGet, []string{"If-None-Match", first.Header().Get("ETag")}, http.StatusNotModified, true},
		"again with another tag": {http.MethodGet, []string{"If-None-Match", `"other"`}, http.StatusOK, false},
		"the header alone":       {http.MethodHead, nil, http.StatusOK, true},
		"another method":         {http.MethodPost, nil, http.StatusMethodNotAllowed, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := askReference(t, tt.method, tt.header...)
			if w.Code != tt.status || (w.Body.Len() == 0) != tt.empty {
				t.Errorf("%d with %d bytes, %d is right", w.Code, w.Body.Len(), tt.status)
			}
		})
	}
}

func TestReferenceSaysWhichTokensAnOperationTakes(t *testing.T) {
	t.Parallel()
	known := func(need access) *huma.Operation {
		return &huma.Operation{Metadata: map[string]any{accessKey: need}}
	}
	tests := map[string]struct {
		op   *huma.Operation
		want string
	}{
		"open":         {&huma.Operation{Security: []map[string][]string{}}, "Needs no token."},
		"not declared": {&huma.Operation{}, "Needs a token."},
		"admin":        {known(accessAdmin), "Needs a token with scope admin."},
		"send":         {known(accessSend), "Needs a token with scope admin, developer or send."},
		"read":         {known(accessRead), "Needs a token with scope admin, developer, viewer or app."},
		"manage":       {known(accessManage), "Needs a token with scope admin, developer or app; in a portal, the capability ManageEndpoint."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := accessText(tt.op); got != tt.want {
				t.Errorf("%q, %q is right", got, tt.want)
			}
		})
	}
}

// node refers to itself.
type node struct {
	Name string           `json:"name" minLength:"1" maxLength:"9" pattern:"^[a-z0-9\\-_.:]+$" doc:"What it is called"`
	Kind string           `json:"kind,omitempty" enum:"a,b" pattern:"^[a-z][0-9]*$"`
	Rate *int             `json:"rate,omitempty" minimum:"1" maximum:"250" default:"50"`
	Next []node           `json:"next,omitempty" maxItems:"3" uniqueItems:"true"`
	By   map[string]*node `json:"by,omitempty"`
	Any  Object           `json:"any,omitempty" nullable:"true"`
}

func TestReferenceDescribesFields(t *testing.T) {
	t.Parallel()
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	d := describer{registry}
	schema := schemaOf[struct {
		One  node    `json:"one"`
		Many *string `json:"many,omitempty" format:"date-time"`
	}](registry)
	got := map[string]referenceField{}
	for _, f := range d.fields(schema) {
		if had, twice := got[f.Name]; twice {
			t.Errorf("%v after %v: what refers to itself has no end", f, had)
		}
		got[f.Name] = f
	}
	for _, want := range []referenceField{
		{Name: "one", Type: "object", Required: true},
		{Name: "many", Type: "time"},
		{Name: "name", Type: "string", Doc: "What it is called", Bounds: "1 to 9 characters of a-z 0-9 - _ . :", Required: true, Depth: 1},
		{Name: "kind", Type: "string", Bounds: "a, b; matching ^[a-z][0-9]*$", Depth: 1},
		{Name: "rate", Type: "integer", Bounds: "1 to 250; default 50", Depth: 1},
		{Name: "next", Type: "list of objects", Bounds: "at most 3 items; none twice", Depth: 1},
		{Name: "by", Type: "object with objects by name", Depth: 1},
		{Name: "any", Type: "any object or null", Depth: 1},
	} {
		if got[want.Name] != want {
			t.Errorf("%+v, %+v is right", got[want.Name], want)
		}
	}
}

// A new operation must not end up in a section without a title of its own.
func TestReferenceKnowsEveryTag(t *testing.T) {
	t.Parallel()
	titles := len(sectionsOf())
	v := referenceOf(New(Options{}).Document())
	if len(v.Sections) != titles {
		t.Errorf("%d sections have a title and operations, of %d", len(v.Sections), titles)
	}
	for _, s := range v.Sections {
		if s.About == "" {
			t.Errorf("the section %s says nothing about itself", s.ID)
		}
	}
}
