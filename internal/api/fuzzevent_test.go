package api_test

import (
	"encoding/json"
	"maps"
	"slices"
)

// openAPI is a document whose webhooks become event types.
func (g *fuzzGen) openAPI() map[string]any {
	webhooks := map[string]any{}
	for range g.rng.IntN(4) {
		name := pick(g, "user.signup", "invoice.paid", "type-1", "bad name", "")
		webhooks[name] = map[string]any{"post": map[string]any{
			"description": g.word(), "x-svix-group-name": "g", "operationId": name, "deprecated": g.chance(2),
			"requestBody": map[string]any{"content": map[string]any{"application/json": map[string]any{"schema": g.jsonSchema(3)}}},
		}}
	}
	return map[string]any{
		"openapi": "3.1.0", "info": map[string]any{"title": "t", "version": "1"}, pick(g, "webhooks", "webhooks", "x-webhooks"): webhooks,
		"components": map[string]any{"schemas": map[string]any{
			"A": g.jsonSchema(2), "B": map[string]any{"$ref": "#/components/schemas/A"}, "C": map[string]any{"properties": map[string]any{"c": map[string]any{"$ref": "#/components/schemas/C"}}},
		}},
	}
}

// jsonSchema is a schema such as owners write for their payloads, wrong ones among
// them: examples are made of it.
func (g *fuzzGen) jsonSchema(depth int) any {
	if g.chance(12) {
		return pick[any](g, true, false, nil, "schema", 1, []any{}, map[string]any{"type": 7}, map[string]any{"properties": []any{1}}, map[string]any{"required": "a"})
	}
	s := map[string]any{}
	huge := func() any {
		return pick[any](g, 0, 1, 3, -1, 10.5, json.Number("1e300"), json.Number("-1e300"), json.Number("9223372036854775807"), json.Number("99999999999"), "3", nil)
	}
	s["type"] = pick[any](g, "object", "object", "array", "string", "integer", "number", "boolean", "null", "none", []any{"string", "null"}, []any{})
	for range g.rng.IntN(3) {
		switch key := pick(g, "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "multipleOf", "exclusiveMinimum", "enum", "const", "pattern", "format", "default", "example", "examples", "$ref"); key {
		case "enum", "examples":
			s[key] = pick[any](g, []any{}, []any{1, "a"}, []any{nil}, "a", map[string]any{"a": 1})
		case "const", "default", "example":
			s[key] = g.anything(1)
		case "pattern":
			s[key] = pick(g, "^a+$", "(", "(a+)+$", "", "[a-z]{1000}")
		case "format":
			s[key] = pick(g, "date-time", "uuid", "email", "uri", "ipv4", "none", "")
		case "$ref":
			s[key] = pick(g, "#", "#/components/schemas/A", "#/components/schemas/C", "#/nowhere", "http://127.0.0.1/x", "#/%", "")
		default:
			s[key] = huge()
		}
	}
	if depth == 0 {
		return s
	}
	switch s["type"] {
	case "object":
		properties := map[string]any{}
		for range g.rng.IntN(4) {
			properties[pick(g, "a", "b", "c", "é", "")] = g.jsonSchema(depth - 1)
		}
		s["properties"], s["required"] = properties, slices.Sorted(maps.Keys(properties))
	case "array":
		s["items"] = g.jsonSchema(depth - 1)
	default:
		s[pick(g, "allOf", "anyOf", "oneOf")] = []any{g.jsonSchema(depth - 1), g.jsonSchema(depth - 1)}
	}
	return s
}
