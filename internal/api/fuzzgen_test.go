package api_test

import (
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
)

// fuzzGen makes requests by the document, of what earlier answers told.
type fuzzGen struct {
	rng      *rand.Rand
	doc      *fuzzDoc
	pool     *fuzzPool
	receiver string // URL of who takes the webhooks
	tokens   []string
	strange  []string // tokens that may do less, and texts that are none
	chars    map[string][2]string
	weighed  []*fuzzOp
}

// fuzzRequest is a request before it is written.
type fuzzRequest struct {
	op      *fuzzOp
	method  string
	path    string            // escaped
	params  map[string]string // of the path, as they are meant
	query   url.Values
	raw     string // of the query, instead of query
	header  [][2]string
	body    any // marshalled, when text is not set
	text    *string
	token   string
	changed []string // what was done to it
}

func newFuzzGen(rng *rand.Rand, doc *fuzzDoc) *fuzzGen {
	g := &fuzzGen{rng: rng, doc: doc, chars: map[string][2]string{}, pool: &fuzzPool{rng: rng, held: map[string][]string{}, ids: map[string]string{}}}
	weights := map[string]int{"DELETE": 1, "GET": 2, "PUT": 2, "PATCH": 2, "POST": 2}
	for _, op := range doc.ops {
		n := weights[op.method]
		switch {
		case op.ID == "v1.application.delete", op.ID == "v1.ingest.source.delete", strings.Contains(op.ID, "expunge-all"), strings.Contains(op.ID, ".health."):
			n = 1
		case op.ID == "v1.message.create", op.ID == "v1.endpoint.create", op.ID == "v1.ingest.source.create":
			n = 10
		case strings.HasSuffix(op.ID, ".create"):
			n = 4
		}
		for range n {
			g.weighed = append(g.weighed, op)
		}
	}
	return g
}

func (g *fuzzGen) chance(one int) bool { return g.rng.IntN(one) == 0 }

func pick[T any](g *fuzzGen, list ...T) T { return list[g.rng.IntN(len(list))] }

// request makes the next request: by the document, and then perhaps against it.
func (g *fuzzGen) request() *fuzzRequest {
	op := pick(g, g.weighed...)
	r := &fuzzRequest{op: op, method: op.method, params: map[string]string{}, query: url.Values{}, token: g.tokens[0]}
	g.fillPath(r)
	for _, p := range op.Parameters {
		switch {
		case p.In == "path", !p.Required && !g.chance(4):
		case p.In == "header":
			r.header = append(r.header, [2]string{p.Name, g.text(p.Schema, p.Name, r)})
		default:
			r.query.Set(p.Name, g.parameter(p.Schema, p.Name, r))
		}
	}
	if op.RequestBody != nil {
		r.body = g.value(op.RequestBody.Content["application/json"].Schema, "", r, 0)
	}
	if op.method == "POST" && g.chance(8) {
		r.header = append(r.header, [2]string{"Idempotency-Key", pick(g, "a", "b", "c") + strconv.Itoa(g.rng.IntN(50))})
	}
	if strings.HasSuffix(op.ID, ".logout") && g.pool.one("token") != "" { // it wants the token of an application
		r.token = "Bearer " + g.pool.one("token")
	}
	for g.chance(2) && len(r.changed) < 4 {
		g.spoil(r)
	}
	r.path = r.render()
	return r
}

// render is the path with its parameters, escaped.
func (r *fuzzRequest) render() string {
	if r.path != "" {
		return r.path
	}
	parts := strings.Split(r.op.path, "/")
	for i, part := range parts {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			parts[i] = url.PathEscape(r.params[strings.TrimSuffix(name, "}")])
		}
	}
	return strings.Join(parts, "/")
}

// fuzzKindOf says what a parameter of a path names.
func fuzzKindOf(name string) string {
	return map[string]string{
		"app_id": "app", "endpoint_id": "ep", "msg_id": "msg", "attempt_id": "atmpt", "delivery_id": "dlv", "source_id": "src", "task_id": "qtask", "token_id": "key", "rejected_id": "rej",
	}[name]
}

// fillPath names things that exist and that belong together, if it finds such.
func (g *fuzzGen) fillPath(r *fuzzRequest) {
	for range 20 {
		if g.fillOnce(r) {
			break
		}
	}
	for _, p := range r.op.Parameters {
		if p.In == "path" && (r.params[p.Name] == "" || r.method == "PUT" && fuzzKindOf(p.Name) != "" && g.chance(8)) {
			r.params[p.Name] = "u" + strconv.FormatUint(g.rng.Uint64(), 36)
		}
	}
}

func (g *fuzzGen) fillOnce(r *fuzzRequest) (whole bool) {
	owner, whole := "", true
	if strings.Contains(r.op.path, "/operational-webhook/") {
		owner = "operational"
	}
	for _, p := range r.op.Parameters {
		if p.In != "path" {
			continue
		}
		kind := fuzzKindOf(p.Name)
		switch {
		case kind == "":
			r.params[p.Name] = g.text(p.Schema, p.Name, r)
			continue
		case kind == "ep" && r.params["msg_id"] != "" && r.params["app_id"] != "":
			owner = r.params["app_id"]
		}
		var belongs bool
		r.params[p.Name], belongs = g.pool.of(kind, owner)
		whole, owner = whole && belongs, r.params[p.Name]
	}
	return whole
}

// owner is what the path names last, by its id.
func (r *fuzzRequest) owner(p *fuzzPool) string {
	owner := ""
	if strings.Contains(r.op.path, "/operational-webhook/") {
		owner = "operational"
	}
	for part := range strings.SplitSeq(r.op.path, "/") {
		name := strings.Trim(part, "{}")
		if name == part || name == "endpoint_id" || strings.HasSuffix(r.op.path, part) {
			continue
		}
		owner = r.params[name]
		if id, ok := p.ids[owner]; ok {
			owner = id
		}
	}
	return owner
}
