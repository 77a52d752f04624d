package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExampleGoesToOneEndpointOnly(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	rec, others := h.receiver(http.StatusOK), h.receiver(http.StatusOK)
	e := h.endpoint(app, rec.URL, "another")
	h.endpoint(app, others.URL)
	h.must(http.StatusCreated, "POST", "/api/v1/event-type", `{"name":"a","description":"","schemas":{"1":{"example":{"old":true}},"10":{"examples":[{"n":1},{"n":2}]},"9":{}}}`)
	path := "/api/v1/app/" + app + "/endpoint/" + e + "/send-example"
	got := h.must(http.StatusAccepted, "POST", path, `{"eventType":"a","exampleIndex":1}`)
	if !cmp.Equal(got["payload"], map[string]any{"n": 2.0}) || got["eventType"] != "a" {
		t.Errorf("sent %v", got)
	}
	if body := rec.next(t).body; body != `{"n":2}` {
		t.Errorf("what came is %s", body)
	}
	if there := h.must(http.StatusOK, "GET", "/api/v1/app/"+app+"/msg/"+got["id"].(string), nil); !cmp.Equal(there["payload"], got["payload"]) {
		t.Errorf("kept %v", there)
	}
	checkFaults(t, h, map[string]fault{"beyond the last": {"POST", path, `{"eventType":"a","exampleIndex":2}`, 422, "body exampleIndex"}})
	h.stats(app, e, counts(1, 0, 0, 0))
	if n := len(others.got); n != 0 {
		t.Errorf("%d came to another endpoint", n)
	}
}

func TestExamplesAreMadeFromSchemas(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	path := "/api/v1/app/" + app + "/endpoint/" + h.endpoint(app, h.receiver(http.StatusOK).URL) + "/send-example"
	for name, c := range map[string]struct{ schema, want string }{
		"types": {`{"type":"object","properties":{"s":{"type":"string"},"i":{"type":"integer"},"f":{"type":"number"},"b":{"type":"boolean"},"n":{"type":"null"},"o":{"type":["null","string"]}}}`,
			`{"s":"text","i":1,"f":0.5,"b":true,"n":null,"o":"text"}`},
		"values":   {`{"properties":{"d":{"default":7},"e":{"enum":["x","y"]},"c":{"const":true},"x":{"example":"<é>"},"xs":{"examples":[1,2]}}}`, `{"d":7,"e":"x","c":true,"x":"<é>","xs":1}`},
		"formats":  {`{"properties":{"m":{"type":"string","format":"email"},"u":{"type":"string","format":"uri"},"v":{"type":"string","format":"ipv4"}}}`, `{"m":"user@example.com","u":"https://example.com/","v":"192.0.2.1"}`},
		"bounds":   {`{"properties":{"a":{"type":"integer","minimum":5},"b":{"type":"integer","maximum":-5},"c":{"type":"integer","exclusiveMinimum":9,"multipleOf":4},"s":{"type":"string","minLength":6},"t":{"type":"string","maxLength":2}}}`, `{"a":5,"b":-5,"c":12,"s":"textxx","t":"te"}`},
		"lists":    {`{"properties":{"a":{"items":{"type":"boolean"}},"b":{"type":"array","minItems":2,"items":{"type":"integer"}},"c":{"type":"array","maxItems":0}}}`, `{"a":[true],"b":[1,1],"c":[]}`},
		"choices":  {`{"allOf":[{"properties":{"a":{"type":"boolean"}}},{"properties":{"b":{"oneOf":[{"type":"integer"},{"type":"string"}]}}}],"properties":{"c":{"type":"string"}}}`, `{"a":true,"b":1,"c":"text"}`},
		"ref":      {`{"properties":{"a":{"$ref":"#/$defs/x"},"gone":{"$ref":"#/$defs/y"}},"$defs":{"x":{"type":"boolean"}}}`, `{"a":true,"gone":null}`},
		"circular": {`{"properties":{"a":{"$ref":"#"}}}`, `{"a":{"a":{}}}`},
	} {
		h.must(http.StatusCreated, "PUT", "/api/v1/event-type/"+name, `{"description":"","schemas":{"1":`+c.schema+`}}`)
		got := h.must(http.StatusAccepted, "POST", path, `{"eventType":"`+name+`"}`)["payload"]
		var want any
		if err := json.Unmarshal([]byte(c.want), &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestExamplesAreBounded(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	path := "/api/v1/app/" + app + "/endpoint/" + h.endpoint(app, h.receiver(http.StatusOK).URL) + "/send-example"
	for name, schema := range map[string]string{
		"numbers":    `{"properties":{"a":{"type":"integer","minimum":1e300},"b":{"type":"string","minLength":1e300},"c":{"type":"array","minItems":1e300,"items":{"type":"null"}},"d":{"type":"integer","maximum":-1e300}}}`,
		"recursion":  `{"required":["a","b"],"properties":{"a":{"$ref":"#"},"b":{"$ref":"#"}}}`,
		"lists":      `{"properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{"type":"array","minItems":100,"items":{"$ref":"#/$defs/a"}}}}`,
		"circle":     `{"$ref":"#"}`,
		"odd":        `{"type":7,"properties":7,"required":7,"allOf":7,"enum":7,"minimum":"x","$ref":7}`,
		"not a type": `{"type":"object","properties":{"a":7,"b":null}}`,
	} {
		typ := strings.ReplaceAll(name, " ", "-")
		h.must(http.StatusCreated, "PUT", "/api/v1/event-type/"+typ, `{"description":"","schemas":{"1":`+schema+`}}`)
		if w := h.send("POST", path, `{"eventType":"`+typ+`"}`); w.Code != http.StatusAccepted || w.Body.Len() > 64<<10 {
			t.Errorf("%s: %d, %d bytes", name, w.Code, w.Body.Len())
		}
	}
}
