package api

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sigpost/sigpost/internal/hook"
)

// ReferencePath is where the reference of the API is served.
const ReferencePath = "/docs"

//go:embed reference.html
var referenceHTML string

// reference is the page that people read. It is made when it is first asked for.
type reference struct {
	once   sync.Once
	page   []byte
	etag   string
	policy string // its Content-Security-Policy
	err    error
}

// ServeReference answers with the reference of the API: one page that needs no
// script and loads nothing.
func (a *API) ServeReference(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		a.fail(w, r, newFault(http.StatusMethodNotAllowed, "ask with GET or HEAD"))
		return
	}
	p := &a.manual
	p.once.Do(func() { p.err = p.make(a.Document()) })
	if p.err != nil {
		a.fail(w, r, p.err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache") // asked for again each time, and sent when it changed
	h.Set("ETag", p.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(p.page))
}

func (p *reference) make(doc *huma.OpenAPI) error {
	page, err := renderReference(doc)
	if err != nil {
		return err
	}
	_, rest, _ := bytes.Cut(page, []byte("<style>"))
	style, _, found := bytes.Cut(rest, []byte("</style>"))
	if !found {
		return fmt.Errorf("make reference: it has no style")
	}
	allowed := sha256.Sum256(style)
	sum := sha256.Sum256(page)
	p.page, p.etag = page, `"`+hex.EncodeToString(sum[:12])+`"`
	p.policy = "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(allowed[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return nil
}

// renderReference writes the page of a document.
func renderReference(doc *huma.OpenAPI) ([]byte, error) {
	t, err := template.New("reference").Parse(referenceHTML)
	if err != nil {
		return nil, fmt.Errorf("parse reference: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, referenceOf(doc)); err != nil {
		return nil, fmt.Errorf("write reference: %w", err)
	}
	return out.Bytes(), nil
}

// What the page shows.
type (
	referenceView struct {
		Title, Version, Document string
		Count                    int
		Sections                 []referenceSection
		Errors                   []referenceError
	}
	referenceSection struct {
		ID, Title, About string
		Operations       []referenceOperation
	}
	referenceOperation struct {
		ID, Method, Summary, Description, Access string
		Path                                     []pathPart
		Groups                                   []fieldGroup
		Answers                                  []referenceAnswer
		Errors                                   []int
	}
	pathPart struct {
		Text     string
		Variable bool
	}
	fieldGroup struct {
		Title  string
		Fields []referenceField
	}
	referenceAnswer struct {
		Status     int
		Text, Note string
		Fields     []referenceField
	}
	referenceError struct {
		Status     int
		Code, When string
	}
)

// sectionsOf are the sections in the order of the page, by tag. A tag that is
// missing here comes last under its own name.
func sectionsOf() []referenceSection {
	return []referenceSection{
		{ID: "application", Title: "Applications", About: "An application is one of your customers, or one of your own programs: it has endpoints, and it is sent messages."},
		{ID: "endpoint", Title: "Endpoints", About: "An endpoint is a URL that gets messages of its application, signed with its own secret."},
		{ID: "event-type", Title: "Event types", About: "Event types describe messages. Nothing has to be declared before it is sent."},
		{ID: "message", Title: "Messages", About: "A message is an event with a payload. It goes to all endpoints of its application that want its type and channels."},
		{ID: "message-attempt", Title: "Attempts", About: "An attempt is one request to an endpoint, with what came of it."},
		{ID: "delivery", Title: "Deliveries", About: "A delivery is the way of one message to one endpoint: where it is, what was tried and what happens next."},
		{ID: "subject", Title: "Subjects", About: "A subject is whom messages are about: a customer, a session, a booking."},
		{ID: "rejected", Title: "Rejected requests", About: "Requests to sources whose signature did not verify, with the reason."},
		{ID: "stream", Title: "Live stream", About: "Messages and attempts as they come."},
		{ID: "ingest.source", Title: "Sources", About: "A source is a URL at which a provider's webhooks are received and verified."},
		{ID: "ingest.endpoint", Title: "Endpoints of sources", About: "Where the webhooks of a source go."},
		{ID: "operational-webhook.endpoint", Title: "Operational webhooks", About: "Tell you what becomes of endpoints, sources and messages."},
		{ID: "alert", Title: "Alerts", About: "See that alerts arrive, by operational webhook and by e-mail."},
		{ID: "background-task", Title: "Background tasks", About: "What takes longer than one request."},
		{ID: "statistics", Title: "Statistics", About: "Counts of what was sent."},
		{ID: "authentication", Title: "Portals", About: "Access for one application, for its portal."},
		{ID: "authentication.token", Title: "Tokens", About: "Keys of the API. They are shown once."},
		{ID: "user", Title: "People", About: "Who may sign in to the dashboard."},
		{ID: "authentication.session", Title: "Sessions", About: "Signing in, with a cookie that counts for the dashboard's own pages only."},
		{ID: "overview", Title: "Overview", About: "What happened, and what is the matter now."},
		{ID: "provider", Title: "Providers", About: "What is known of those who send to sources."},
		{ID: "ingest.source.secret", Title: "Secrets of sources", About: "Several may be valid at once, while one is rotated."},
		{ID: "audit", Title: "Audit log", About: "Who changed what, when and from where."},
		{ID: "organization", Title: "Organization", About: "All applications together: settings and messages."},
		{ID: "environment", Title: "Environment", About: "Event types and settings as one document."},
		{ID: "health", Title: "Health", About: "For whoever watches the server."},
	}
}

func referenceOf(doc *huma.OpenAPI) referenceView {
	v := referenceView{Title: doc.Info.Title, Version: doc.Info.Version, Document: DocumentPath, Sections: sectionsOf(), Errors: referenceErrors()}
	d := describer{doc.Components.Schemas}
	for _, path := range sortedKeys(doc.Paths) {
		item := doc.Paths[path]
		for _, o := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if o == nil {
				continue
			}
			v.Count++
			i := v.section(o)
			v.Sections[i].Operations = append(v.Sections[i].Operations, d.operation(o, path))
		}
	}
	v.Sections = slices.DeleteFunc(v.Sections, func(s referenceSection) bool { return len(s.Operations) == 0 })
	return v
}

// section is the place of an operation's section, which is made when it is new.
func (v *referenceView) section(o *huma.Operation) int {
	id := "other"
	if len(o.Tags) > 0 {
		id = o.Tags[0]
	}
	i := slices.IndexFunc(v.Sections, func(s referenceSection) bool { return s.ID == id })
	if i < 0 {
		i = len(v.Sections)
		v.Sections = append(v.Sections, referenceSection{ID: id, Title: strings.NewReplacer("-", " ", ".", " ").Replace(id)})
	}
	return i
}

func (d describer) operation(o *huma.Operation, path string) referenceOperation {
	r := referenceOperation{
		ID: strings.TrimPrefix(o.OperationID, "v1."), Method: o.Method, Summary: o.Summary, Description: o.Description, Access: accessText(o), Path: pathParts(path),
	}
	for _, in := range []string{"path", "query", "header"} {
		var fields []referenceField
		for _, p := range o.Parameters {
			if p.In == in {
				fields = append(fields, d.parameter(p))
			}
		}
		if len(fields) > 0 {
			r.Groups = append(r.Groups, fieldGroup{map[string]string{"path": "In the path", "query": "In the query", "header": "Headers"}[in], fields})
		}
	}
	if o.RequestBody != nil {
		if body := o.RequestBody.Content["application/json"]; body != nil {
			r.Groups = append(r.Groups, fieldGroup{"Body", d.fields(body.Schema)})
		}
	}
	for _, text := range sortedKeys(o.Responses) {
		status, _ := strconv.Atoi(text)
		if status >= http.StatusBadRequest {
			r.Errors = append(r.Errors, status)
			continue
		}
		r.Answers = append(r.Answers, d.answer(status, o.Responses[text]))
	}
	return r
}

func (d describer) answer(status int, response *huma.Response) referenceAnswer {
	out := referenceAnswer{Status: status, Text: http.StatusText(status)}
	for _, kind := range sortedKeys(response.Content) {
		if kind != "application/json" {
			out.Text = kind
		}
		out.Fields = append(out.Fields, d.fields(response.Content[kind].Schema)...)
	}
	switch {
	case len(response.Content) == 0:
		out.Note = "no body"
	case len(out.Fields) == 0:
		out.Note = "an empty object"
	}
	return out
}

// pathParts sets the variables of a path apart.
func pathParts(path string) (parts []pathPart) {
	for path != "" {
		before, rest, found := strings.Cut(path, "{")
		parts = append(parts, pathPart{Text: before})
		if !found {
			break
		}
		var name string
		name, path, _ = strings.Cut(rest, "}")
		parts = append(parts, pathPart{"{" + name + "}", true})
	}
	return parts
}

// accessKey is where the metadata of an operation say what access it needs.
const accessKey = "access"

// accessText says which tokens an operation takes.
func accessText(o *huma.Operation) string {
	if o.Security != nil && len(o.Security) == 0 {
		return "Needs no token."
	}
	need, known := o.Metadata[accessKey].(access)
	if !known {
		return "Needs a token."
	}
	var scopes []string
	for _, s := range []hook.Scope{hook.ScopeAdmin, hook.ScopeDeveloper, hook.ScopeViewer, hook.ScopeSend, hook.ScopeApp} {
		if (&Caller{Scope: s}).may(need) {
			scopes = append(scopes, string(s))
		}
	}
	text := "Needs a token with scope " + strings.Join(scopes, ", ")
	if i := strings.LastIndex(text, ", "); i >= 0 {
		text = text[:i] + " or" + text[i+1:]
	}
	if c := capabilities[need]; c != "" && c != "ViewBase" {
		text += "; in a portal, the capability " + c
	}
	return text + "."
}

func referenceErrors() []referenceError {
	when := map[int]string{
		http.StatusBadRequest:            "the body is not JSON",
		http.StatusUnauthorized:          "the token is missing, wrong, expired or revoked",
		http.StatusForbidden:             "the token's scope does not allow it",
		http.StatusNotFound:              "there is no such thing, or the token does not reach it",
		http.StatusMethodNotAllowed:      "the path is there, but not for this method; the header Allow says which there are",
		http.StatusConflict:              "it exists already, or its state does not allow it",
		http.StatusRequestEntityTooLarge: "the body or the payload is too large",
		http.StatusUnsupportedMediaType:  "the body is not application/json",
		http.StatusTooManyRequests:       "too much at once; try again later",
		http.StatusServiceUnavailable:    "our own trouble; try again",
	}
	list := []referenceError{{Status: http.StatusUnprocessableEntity, When: "a parameter or a field is not as it must be; see above"}}
	for status, text := range when {
		list = append(list, referenceError{status, statusCodes[status], text})
	}
	slices.SortFunc(list, func(a, b referenceError) int { return cmp.Compare(a.Status, b.Status) })
	return list
}
