package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const importPath = "/api/v1/event-type/import/openapi"

const petYAML = `
openapi: 3.1.0
webhooks:
  pet.new:
    post:
      description: A pet is new
      x-acme-group-name: pets
      x-feature-flags: [beta]
      requestBody:
        $ref: "#/components/requestBodies/Pet"
  pet.gone:
    summary: A pet is gone
    put:
      deprecated: true
      requestBody:
        content:
          application/vnd.pet+json:
            schema: {type: object, properties: {id: {type: integer, maximum: 9007199254740993}}}
  pet.ping:
    post: {}
components:
  requestBodies:
    Pet:
      content:
        application/json:
          schema: {$ref: "#/components/schemas/Pet", title: Pet}
  schemas:
    Pet:
      type: object
      properties:
        tag: {$ref: "#/components/schemas/Tag"}
        parent: {$ref: "#/components/schemas/Pet"}
    Tag: {type: string}
`

func TestImportMakesEventTypesOfWebhooks(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.must(http.StatusCreated, "POST", "/api/v1/event-type", `{"name":"other","description":""}`)
	dry := h.must(http.StatusOK, "POST", importPath, map[string]any{"specRaw": petYAML, "dryRun": true, "replaceAll": true})["data"].(map[string]any)
	if to := dry["to_modify"].([]any); len(to) != 4 || len(dry["modified"].([]any)) != 0 || to[3].(map[string]any)["archived"] != true {
		t.Errorf("a dry run gives %v", dry)
	}
	if got := names(h.must(http.StatusOK, "GET", "/api/v1/event-type", nil)); got != "other" {
		t.Errorf("after a dry run there are %s", got)
	}
	got := h.must(http.StatusOK, "POST", importPath, map[string]any{"specRaw": petYAML})
	if diff := cmp.Diff(map[string]any{"data": map[string]any{"modified": []any{"pet.gone", "pet.new", "pet.ping"}}}, got); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]string{
		"pet.new": `{"name":"pet.new","description":"A pet is new","archived":false,"deprecated":false,"groupName":"pets","featureFlags":["beta"],"featureFlag":"beta",` +
			`"schemas":{"1":{"title":"Pet","type":"object","properties":{"tag":{"type":"string"},"parent":{}}}}}`,
		"pet.gone": `{"name":"pet.gone","description":"A pet is gone","archived":false,"deprecated":true,"schemas":{"1":{"type":"object","properties":{"id":{"type":"integer","maximum":9007199254740993}}}}}`,
		"pet.ping": `{"name":"pet.ping","description":"pet.ping","archived":false,"deprecated":false}`,
	} {
		w := h.send("GET", "/api/v1/event-type/"+name, nil)
		if name == "pet.gone" && !strings.Contains(w.Body.String(), "9007199254740993") {
			t.Errorf("a number was changed: %s", w.Body)
		}
		var wanted, there map[string]any
		if err := json.Unmarshal([]byte(want), &wanted); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(w.Body.Bytes(), &there); err != nil {
			t.Fatal(err)
		}
		delete(there, "createdAt")
		delete(there, "updatedAt")
		if diff := cmp.Diff(wanted, there); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	again := h.must(http.StatusOK, "POST", importPath, map[string]any{"specRaw": petYAML, "replaceAll": true})["data"].(map[string]any)
	if diff := cmp.Diff([]any{"other"}, again["modified"]); diff != "" {
		t.Errorf("the same again, replacing all: %s", diff)
	}
	h.must(http.StatusNoContent, "DELETE", "/api/v1/event-type/pet.ping", nil)
	h.must(http.StatusOK, "POST", importPath, `{"spec":{"x-webhooks":{"pet.ping":{"post":{}}}}}`)
	if got := names(h.must(http.StatusOK, "GET", "/api/v1/event-type", nil)); got != "pet.gone pet.new pet.ping" {
		t.Errorf("at the end there are %s", got)
	}
}

func TestImportRefusesWhatIsWrong(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	hookOf := func(schema, components string) string {
		return fmt.Sprintf(`{"spec":{"webhooks":{"a":{"post":{"requestBody":{"content":{"application/json":{"schema":%s}}}}}},"components":%s}}`, schema, components)
	}
	var bomb []string
	for i := range 20 {
		bomb = append(bomb, fmt.Sprintf(`"x%d":{"allOf":[{"$ref":"#/components/schemas/x%d"},{"$ref":"#/components/schemas/x%d"}]}`, i, i+1, i+1))
	}
	bomb = append(bomb, `"x20":{"type":"string"}`)
	checkFaults(t, h, map[string]fault{
		"nothing":                 {"POST", importPath, `{}`, 400, ""},
		"both":                    {"POST", importPath, `{"spec":{},"specRaw":"a: 1"}`, 400, ""},
		"spec of a type":          {"POST", importPath, `{"spec":[]}`, 422, "body spec"},
		"no webhooks":             {"POST", importPath, `{"spec":{"openapi":"3.1.0"}}`, 422, "body spec"},
		"not YAML":                {"POST", importPath, `{"specRaw":"a: [b"}`, 422, "body specRaw"},
		"YAML of a list":          {"POST", importPath, `{"specRaw":"- a"}`, 422, "body spec"},
		"empty YAML":              {"POST", importPath, `{"specRaw":""}`, 422, "body spec"},
		"a key that is no text":   {"POST", importPath, `{"specRaw":"webhooks: {[a]: b}"}`, 422, "body specRaw"},
		"a name with a space":     {"POST", importPath, `{"spec":{"webhooks":{"a b":{"post":{}}}}}`, 422, "body spec webhooks a b"},
		"no operation":            {"POST", importPath, `{"spec":{"webhooks":{"a":{}}}}`, 422, "body spec webhooks a"},
		"no object":               {"POST", importPath, `{"spec":{"webhooks":{"a":7}}}`, 422, "body spec webhooks a"},
		"a group of a type":       {"POST", importPath, `{"spec":{"webhooks":{"a":{"post":{"x-group-name":7}}}}}`, 422, "body spec webhooks a"},
		"flags of a type":         {"POST", importPath, `{"spec":{"webhooks":{"a":{"post":{"x-feature-flags":[7]}}}}}`, 422, "body spec webhooks a"},
		"a reference to outside":  {"POST", importPath, hookOf(`{"$ref":"http://169.254.169.254/"}`, `{}`), 422, "body spec webhooks a"},
		"a reference to nothing":  {"POST", importPath, hookOf(`{"$ref":"#/components/schemas/x"}`, `{}`), 422, "body spec webhooks a"},
		"references in a circle":  {"POST", importPath, `{"spec":{"webhooks":{"a":{"$ref":"#/webhooks/a"}}}}`, 422, "body spec webhooks a"},
		"references that blow up": {"POST", importPath, hookOf(`{"$ref":"#/components/schemas/x0"}`, `{"schemas":{`+strings.Join(bomb, ",")+`}}`), 422, "body spec webhooks a"},
		"a deep schema":           {"POST", importPath, hookOf(strings.Repeat(`{"items":`, 200)+"{}"+strings.Repeat("}", 200), `{}`), 422, "body spec webhooks a"},
	})
	if got := names(h.must(http.StatusOK, "GET", "/api/v1/event-type", nil)); got != "" {
		t.Errorf("what was refused made %s", got)
	}
	portal := h.as(jwtOf(t, "org_tests", h.app("a")))
	portal.must(http.StatusForbidden, "POST", importPath, `{"spec":{"webhooks":{}}}`)
}
