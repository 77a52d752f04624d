package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/api"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/seal"
	"github.com/sigpost/sigpost/internal/store"
	"github.com/sigpost/sigpost/signature"
)

const (
	sources      = "/ingest/api/v1/source"
	veriffSecret = "0a7bd6b1-5f4c-4c1e-9d0e-2f3a4b5c6d7e"
	veriffOther  = "9f8e7d6c-5b4a-4392-8170-6f5e4d3c2b1a"
)

// refusal is a request that must not succeed.
type refusal struct {
	method, path, body string
	status             int
	loc                string // of a 422, joined by spaces
}

// refused makes requests and holds their answers to what they should be.
func (h *harness) refused(cases map[string]refusal) {
	h.t.Helper()
	for name, c := range cases {
		status, got := h.do(c.method, c.path, c.body)
		if status != c.status {
			h.t.Errorf("%s: %d %v, %d is right", name, status, got, c.status)
			continue
		}
		if status != http.StatusUnprocessableEntity {
			continue
		}
		var loc []string
		for _, l := range got["detail"].([]any)[0].(map[string]any)["loc"].([]any) {
			loc = append(loc, l.(string))
		}
		if !strings.HasPrefix(strings.Join(loc, " "), c.loc) {
			h.t.Errorf("%s: %v, loc %q is right", name, got, c.loc)
		}
	}
}

// id makes a thing and returns its id.
func (h *harness) id(path string, body any) string {
	h.t.Helper()
	return h.must(http.StatusCreated, "POST", path, body)["id"].(string)
}

// field reads one field of each row of a page.
func fieldOf(page map[string]any, field string) []string {
	var list []string
	for _, x := range page["data"].([]any) {
		list = append(list, fmt.Sprint(x.(map[string]any)[field]))
	}
	return list
}

// pages walks a list two rows at a time and returns a field of all of its rows,
// then walks back from the last page and returns that of the page before.
func (h *harness) pages(path, field, order string) (all, before []string) {
	h.t.Helper()
	var iterator, previous string
	for range 20 {
		page := h.must(http.StatusOK, "GET", path+"?limit=2&order="+order+"&iterator="+iterator, nil)
		all = append(all, fieldOf(page, field)...)
		iterator, _ = page["iterator"].(string)
		previous, _ = page["prevIterator"].(string)
		if page["done"] == true {
			break
		}
	}
	return all, fieldOf(h.must(http.StatusOK, "GET", path+"?limit=2&order="+order+"&iterator="+previous, nil), field)
}

// paged holds a list to the names that were made, in their order.
func (h *harness) paged(path, field string, made []string) {
	h.t.Helper()
	for _, order := range []string{"ascending", "descending", ""} {
		want := append([]string{}, made...)
		if order != "ascending" {
			for i, j := 0, len(want)-1; i < j; i, j = i+1, j-1 {
				want[i], want[j] = want[j], want[i]
			}
		}
		all, before := h.pages(path, field, order)
		if fmt.Sprint(all) != fmt.Sprint(want) {
			h.t.Errorf("%s %q: %v, %v is right", path, order, all, want)
		}
		last := (len(want) - 1) / 2 * 2
		if fmt.Sprint(before) != fmt.Sprint(want[last-2:last]) {
			h.t.Errorf("%s %q: back comes %v, %v is right", path, order, before, want[last-2:last])
		}
	}
}

// post sends a webhook to the token of a source over a connection; secret signs
// it as Veriff does when it is not empty.
func (h *harness) post(ingestURL, body, secret string) int {
	h.t.Helper()
	eventually(h.t, "the server listens", func() bool { return h.server.Addr() != "" })
	r, err := http.NewRequest(http.MethodPost, "http://"+h.server.Addr()+ingestURL[strings.Index(ingestURL, "/in/"):], strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if secret != "" {
		scheme, _ := signature.Lookup("veriff")
		fields, err := scheme.Sign(signature.Content{Body: []byte(body), Timestamp: time.Now()}, secret)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, f := range fields {
			r.Header.Set(f.Name, f.Value)
		}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestSourcesLiveTheirLife(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	made := h.must(http.StatusCreated, "POST", sources, `{"name":"Bank","uid":"bank","type":"veriff","config":{"secret":"`+veriffSecret+`"},"metadata":{"k":"v"},"unknown":1}`)
	id := made["id"].(string)
	for field, want := range map[string]any{
		"name": "Bank", "uid": "bank", "type": "veriff", "provider": "veriff", "secretCount": 1.0, "managedBy": "api", "onBadSignature": "reject", "onDuplicate": "drop",
	} {
		if made[field] != want {
			t.Errorf("made with %s %v, %v is right", field, made[field], want)
		}
	}
	if config := made["config"].(map[string]any); len(config) != 0 {
		t.Errorf("config shows %v", config)
	}
	if !strings.HasPrefix(id, "src_") || !strings.Contains(made["ingestUrl"].(string), "/in/") {
		t.Errorf("made %v", made)
	}
	for _, ref := range []string{id, "bank"} {
		if got := h.must(http.StatusOK, "GET", sources+"/"+ref+"/", nil); got["id"] != id {
			t.Errorf("%s gives %v", ref, got)
		}
	}
	if status, _ := h.do("POST", sources, `{"name":"Other","uid":"bank","type":"generic-webhook"}`); status != http.StatusConflict {
		t.Errorf("the same uid again: %d", status)
	}
	if got := h.must(http.StatusOK, "PUT", sources+"/bank", `{"name":"New","uid":"bank","type":"veriff"}`); got["name"] != "New" || got["secretCount"] != 1.0 {
		t.Errorf("PUT gives %v", got)
	}
	if got := h.must(http.StatusCreated, "PUT", sources+"/fresh", `{"name":"Fresh","type":"generic-webhook"}`); got["uid"] != "fresh" || got["config"] != nil {
		t.Errorf("PUT of what is not there gives %v", got)
	}
	h.must(http.StatusNoContent, "DELETE", sources+"/bank", nil)
	h.must(http.StatusNotFound, "GET", sources+"/"+id, nil)
	h.must(http.StatusNotFound, "GET", "/api/v1/app/"+made["appId"].(string), nil)
	if status := h.post(made["ingestUrl"].(string), `{}`, ""); status != http.StatusNotFound {
		t.Errorf("a deleted source answers %d", status)
	}
}

func TestSourcesArePaged(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var names []string
	for i := range 5 {
		names = append(names, fmt.Sprint("source", i))
		h.id(sources, `{"name":"`+names[i]+`","type":"generic-webhook"}`)
	}
	h.paged(sources, "name", names)
}

func TestBadSourcesAreRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	id := h.id(sources, `{"name":"veriff","type":"veriff","config":{"secret":"`+veriffSecret+`"}}`)
	generic := func(field string) string { return `{"name":"nn","type":"generic-webhook",` + field + `}` }
	h.refused(map[string]refusal{
		"no name":                    {"POST", sources, `{"type":"generic-webhook"}`, 422, "body name"},
		"a name of one letter":       {"POST", sources, `{"name":"n","type":"generic-webhook"}`, 422, "body name"},
		"a name too long":            {"POST", sources, `{"name":"` + strings.Repeat("n", 257) + `","type":"generic-webhook"}`, 422, "body name"},
		"NUL in the name":            {"POST", sources, `{"name":"a\u0000b","type":"generic-webhook"}`, 422, "body name"},
		"no type":                    {"POST", sources, `{"name":"nn"}`, 422, "body type"},
		"a type of another form":     {"POST", sources, `{"name":"nn","type":7}`, 422, "body type"},
		"a type without a provider":  {"POST", sources, `{"name":"nn","type":"shopify","config":{"secret":"s"}}`, 422, "body type"},
		"type against provider":      {"POST", sources, `{"name":"nn","type":"stripe","provider":"veriff","config":{"secret":"s"}}`, 422, "body provider"},
		"no secret":                  {"POST", sources, `{"name":"nn","type":"veriff"}`, 422, "body config secret"},
		"an empty secret":            {"POST", sources, `{"name":"nn","type":"veriff","config":{"secret":""}}`, 422, "body config secret"},
		"a bad secret":               {"POST", sources, `{"name":"nn","type":"stripe","config":{"secret":"short"}}`, 422, "body config secret"},
		"a secret of a number":       {"POST", sources, `{"name":"nn","type":"stripe","config":{"secret":1}}`, 422, "body config secret"},
		"a secret for nothing":       {"POST", sources, generic(`"config":{"secret":"` + veriffSecret + `"}`), 422, "body config secret"},
		"a bad one of many secrets":  {"POST", sources, `{"name":"nn","type":"stripe","secrets":["short"]}`, 422, "body secrets"},
		"secrets twice":              {"POST", sources, `{"name":"nn","type":"veriff","config":{"secret":"` + veriffSecret + `"},"secrets":["` + veriffSecret + `"]}`, 422, "body secrets"},
		"no secret is left":          {"PUT", sources + "/" + id, `{"name":"nn","type":"veriff","secrets":[]}`, 422, "body secrets"},
		"another provider, unsigned": {"PUT", sources + "/" + id, `{"name":"nn","type":"stripe"}`, 422, "body config secret"},
		"uid like an id":             {"POST", sources, generic(`"uid":"src_1"`), 422, "body uid"},
		"uid with a dot":             {"POST", sources, generic(`"uid":"a.b"`), 422, "body uid"},
		"uid too long":               {"POST", sources, generic(`"uid":"` + strings.Repeat("u", 61) + `"`), 422, "body uid"},
		"uid with a dot in the path": {"PUT", sources + "/a.b", `{"name":"nn","type":"generic-webhook"}`, 422, "body uid"},
		"metadata of numbers":        {"POST", sources, generic(`"metadata":{"a":1}`), 422, "body metadata"},
		"a bad signature's fate":     {"POST", sources, generic(`"onBadSignature":"drop"`), 422, "body onBadSignature"},
		"a duplicate's fate":         {"POST", sources, generic(`"onDuplicate":"keep"`), 422, "body onDuplicate"},
		"no network":                 {"POST", sources, generic(`"allowIps":["nowhere"]`), 422, "body allowIps"},
		"a network cut by its mask":  {"POST", sources, generic(`"allowIps":["10.1.2.3/8"]`), 422, "body allowIps"},
		"networks of objects":        {"POST", sources, generic(`"allowIps":[{}]`), 422, "body allowIps"},
		"a body too large":           {"POST", sources, generic(`"maxBody":20971521`), 422, "body maxBody"},
		"a negative body":            {"POST", sources, generic(`"maxBody":-1`), 422, "body maxBody"},
		"NUL in the flow":            {"POST", sources, generic(`"flowId":"\u0000"`), 422, "body flowId"},
		"a header of the connection": {"POST", sources, generic(`"forwardHeaders":["Connection"]`), 422, "body forwardHeaders"},
		"a header with a space":      {"POST", sources, generic(`"forwardHeaders":["X A"]`), 422, "body forwardHeaders"},
		"an unknown source":          {"GET", sources + "/nobody", ``, 404, ""},
		"an application's id":        {"GET", sources + "/" + h.app("a"), ``, 404, ""},
		"a forged id":                {"PUT", sources + "/src_0000000000000000000000", generic(`"uid":"x"`), 404, ""},
		"a cursor of others":         {"GET", sources + "?iterator=app_x", ``, 422, "query iterator"},
	})
	for name, c := range map[string]struct{ body, text string }{
		"the supported types are listed": {`{"name":"nn","type":"shopify"}`, "generic-webhook"},
		"the provider is named":          {`{"name":"nn","provider":"nobody"}`, "nobody"},
	} {
		if status, got := h.do("POST", sources, c.body); status != 422 || !strings.Contains(fmt.Sprint(got), c.text) {
			t.Errorf("%s: %d %v", name, status, got)
		}
	}
	if status, got := h.do("POST", sources, `{"name":"nn","type":"stripe","config":{"secret":"hush-hush"}}`); strings.Contains(fmt.Sprint(got), "hush") {
		t.Errorf("%d shows the secret: %v", status, got)
	}
	if got := fieldOf(h.must(http.StatusOK, "GET", sources, nil), "name"); len(got) != 1 || got[0] != "veriff" {
		t.Errorf("after all of this there are %v", got)
	}
}

func TestSourcesKnowTheirSenders(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const standard, metamap = `"config":{"secret":"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"}`, `"config":{"secret":"Abcdefgh12345678"}`
	for name, c := range map[string]struct{ body, kind, provider string }{
		"a type":                             {`"type":"veriff","config":{"secret":"` + veriffSecret + `"}`, "veriff", "veriff"},
		"a type that signs as others do":     {`"type":"clerk",` + standard, "clerk", "standard-webhooks"},
		"nothing but a provider":             {`"provider":"metamap",` + metamap, "generic-webhook", "metamap"},
		"a provider that the wire knows":     {`"provider":"standard-webhooks",` + standard, "svix", "standard-webhooks"},
		"another name of a provider":         {`"provider":"resend",` + standard, "resend", "standard-webhooks"},
		"a provider behind the generic type": {`"type":"generic-webhook","provider":"metamap",` + metamap, "generic-webhook", "metamap"},
		"a type and its provider":            {`"type":"lithic","provider":"standard-webhooks",` + standard, "lithic", "standard-webhooks"},
		"the generic one":                    {`"provider":"generic"`, "generic-webhook", "generic"},
	} {
		made := h.must(http.StatusCreated, "POST", sources, `{"name":"nn",`+c.body+`}`)
		if made["type"] != c.kind || made["provider"] != c.provider {
			t.Errorf("%s: %v by %v", name, made["type"], made["provider"])
		}
		// A client that knows of types only sends back what it was shown.
		path := sources + "/" + made["id"].(string)
		kept := h.must(http.StatusOK, "PUT", path, map[string]any{"name": "mm", "type": made["type"]})
		if kept["type"] != c.kind || kept["provider"] != c.provider || kept["secretCount"] != made["secretCount"] {
			t.Errorf("%s: after a PUT %v by %v with %v secrets", name, kept["type"], kept["provider"], kept["secretCount"])
		}
	}
}

func TestPutLeavesSettingsThatItDoesNotName(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const settings = `"onBadSignature":"quarantine","onDuplicate":"forward","allowIps":["127.0.0.1","10.0.0.0/8"],"providerIps":true,"maxBody":100,"flowId":"f","forwardHeaders":["Authorization"]`
	id := h.id(sources, `{"name":"nn","provider":"metamap","config":{"secret":"Abcdefgh12345678"},`+settings+`}`)
	want := `quarantine forward [127.0.0.1/32 10.0.0.0/8] true 100 f [Authorization]`
	show := func(got map[string]any) string {
		return fmt.Sprint(got["onBadSignature"], " ", got["onDuplicate"], " ", got["allowIps"], " ", got["providerIps"], " ", got["maxBody"], " ", got["flowId"], " ", got["forwardHeaders"])
	}
	if got := show(h.must(http.StatusOK, "PUT", sources+"/"+id, `{"name":"other","type":"generic-webhook"}`)); got != want {
		t.Errorf("after a PUT without them: %s", got)
	}
	got := show(h.must(http.StatusOK, "PUT", sources+"/"+id, `{"name":"other","onBadSignature":"reject","onDuplicate":"drop","allowIps":[],"providerIps":false,"maxBody":0,"flowId":"","forwardHeaders":[]}`))
	if got != "reject drop <nil> <nil> <nil> <nil> <nil>" {
		t.Errorf("after a PUT that takes them back: %s", got)
	}
}

func TestSecretsOfSourcesRotate(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	made := h.must(http.StatusCreated, "POST", sources, `{"name":"nn","type":"veriff","config":{"secret":"`+veriffSecret+`"}}`)
	path, url := sources+"/"+made["id"].(string), made["ingestUrl"].(string)
	put := func(secrets string, count float64, accepted, refused []string) {
		t.Helper()
		if got := h.must(http.StatusOK, "PUT", path, `{"name":"nn","type":"veriff",`+secrets+`}`); got["secretCount"] != count {
			t.Errorf("%s: %v secrets, %v is right", secrets, got["secretCount"], count)
		}
		for i, s := range accepted {
			if status := h.post(url, fmt.Sprintf(`{"n":%q}`, secrets+fmt.Sprint(i)), s); status != http.StatusOK {
				t.Errorf("%s: a valid secret gets %d", secrets, status)
			}
		}
		for _, s := range refused {
			if status := h.post(url, `{}`, s); status != http.StatusUnauthorized {
				t.Errorf("%s: a secret that is not valid gets %d", secrets, status)
			}
		}
	}
	put(`"config":{"secret":"`+veriffSecret+`"}`, 1, []string{veriffSecret}, []string{veriffOther})
	put(`"config":{"secret":"`+veriffOther+`"}`, 2, []string{veriffSecret, veriffOther}, nil)
	put(`"config":{"secret":"`+veriffOther+`"}`, 2, []string{veriffSecret, veriffOther}, nil)
	put(`"secrets":["`+veriffOther+`"]`, 1, []string{veriffOther}, []string{veriffSecret})
	if got := h.must(http.StatusOK, "PUT", path, `{"name":"nn","type":"generic-webhook"}`); got["secretCount"] != 0.0 || got["provider"] != "generic" {
		t.Errorf("another provider: %v", got)
	}
}

func TestMessagesOfSourcesAreReadThroughTheirApplication(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	made := h.must(http.StatusCreated, "POST", sources, `{"name":"nn","type":"generic-webhook"}`)
	old := made["ingestUrl"].(string)
	fresh := h.must(http.StatusOK, "POST", sources+"/"+made["id"].(string)+"/token/rotate", nil)["ingestUrl"].(string)
	if fresh == old {
		t.Error("the URL is the same after it was rotated")
	}
	for i, url := range []string{old, fresh} {
		if status := h.post(url, fmt.Sprintf(`{"type":"thing.happened","n":%d}`, i), ""); status != http.StatusOK {
			t.Errorf("URL %d answers %d", i, status)
		}
	}
	eventually(t, "both messages are listed", func() bool {
		page := h.must(http.StatusOK, "GET", "/api/v1/app/"+made["appId"].(string)+"/msg", nil)
		return fmt.Sprint(fieldOf(page, "eventType")) == "[thing.happened thing.happened]"
	})
	h.refused(map[string]refusal{
		"a message sent into it":       {"POST", "/api/v1/app/" + made["appId"].(string) + "/msg", `{"eventType":"a","payload":{}}`, 409, ""},
		"the application deleted":      {"DELETE", "/api/v1/app/" + made["appId"].(string), ``, 409, ""},
		"a portal for its application": {"POST", "/api/v1/auth/app-portal-access/" + made["appId"].(string), `{}`, 409, ""},
		"a key for its application":    {"POST", "/api/v1/auth/token", `{"name":"k","scope":"app","appId":"` + made["appId"].(string) + `"}`, 409, ""},
	})
}

func TestSourcesOfTheFileAreReadOnly(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.stop()
	ring, err := seal.FromFile(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(context.Background(), store.Options{Dir: h.dir, Seal: ring})
	if err != nil {
		t.Fatal(err)
	}
	file := []store.FileSource{{Name: "filed", Provider: "generic", Endpoints: []hook.Endpoint{{Name: "e", URL: "https://example.com/"}}}}
	if err := s.ApplyFile(context.Background(), file, false); err != nil {
		t.Fatal(err)
	}
	admin, hash := api.NewToken()
	if _, err := s.CreateToken(context.Background(), hook.Token{Org: store.DefaultOrg, Scope: hook.ScopeAdmin, Name: "test", Hash: hash}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	h.start()
	h.token = admin.Reveal()
	page := h.must(http.StatusOK, "GET", sources, nil)
	x := page["data"].([]any)[0].(map[string]any)
	if x["managedBy"] != "file" || x["name"] != "filed" || x["disabled"] != true || x["ingestUrl"] != nil || x["secretCount"] != nil || x["onDuplicate"] != nil {
		t.Errorf("listed as %v", x)
	}
	path := sources + "/" + x["id"].(string)
	e := h.must(http.StatusOK, "GET", path+"/endpoint", nil)["data"].([]any)[0].(map[string]any)
	of := path + "/endpoint/" + e["id"].(string)
	h.refused(map[string]refusal{
		"PUT":                {"PUT", path, `{"name":"nn","type":"generic-webhook"}`, 409, ""},
		"DELETE":             {"DELETE", path, ``, 409, ""},
		"another URL":        {"POST", path + "/token/rotate", ``, 409, ""},
		"PUT an endpoint":    {"PUT", of, `{"url":"https://example.com/"}`, 409, ""},
		"DELETE an endpoint": {"DELETE", of, ``, 409, ""},
		"its secret, gone":   {"GET", of + "/secret", ``, 404, ""}, // with the file
		"another secret":     {"POST", of + "/secret/rotate", `{}`, 409, ""},
		"its headers":        {"PUT", of + "/headers", `{"headers":{}}`, 409, ""},
	})
}
