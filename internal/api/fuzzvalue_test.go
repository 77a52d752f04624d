package api_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// parameter is a value as it stands in a query.
func (g *fuzzGen) parameter(s *fuzzSchema, name string, r *fuzzRequest) string {
	switch v := g.value(s, name, r, 0).(type) {
	case string:
		return v
	case []any:
		var items []string
		for _, item := range v {
			items = append(items, fmt.Sprint(item))
		}
		return strings.Join(items, ",")
	default:
		return fmt.Sprint(v)
	}
}

// value is one that fits a schema; name is that of its field.
func (g *fuzzGen) value(s *fuzzSchema, name string, r *fuzzRequest, depth int) any {
	s = g.doc.resolve(s)
	if v, ok := g.known(name, r); ok {
		return v
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Type, "array") {
		return pick(g, s.Enum...)
	}
	kind := "string"
	if len(s.Type) > 0 {
		kind = pick(g, s.Type...)
	}
	switch kind {
	case "null":
		return nil
	case "boolean":
		return g.chance(2)
	case "integer", "number":
		return g.number(s)
	case "array":
		return g.list(s, name, r, depth)
	case "object":
		return g.object(s, name, r, depth)
	}
	return g.text(s, name, r)
}

func (g *fuzzGen) number(s *fuzzSchema) json.Number {
	low, high := -1000, 1000
	if s.Minimum != nil {
		low = int(*s.Minimum)
	}
	if s.Maximum != nil {
		high = max(low, int(*s.Maximum))
	}
	n := low + g.rng.IntN(high-low+1)
	switch g.rng.IntN(6) {
	case 0:
		n = low
	case 1:
		n = high
	}
	return json.Number(strconv.Itoa(n))
}

func (g *fuzzGen) list(s *fuzzSchema, name string, r *fuzzRequest, depth int) []any {
	most := 3
	if s.MaxItems != nil && g.chance(20) {
		most = min(*s.MaxItems, 600)
	}
	list, seen := []any{}, map[string]bool{}
	if name = strings.TrimSuffix(name, "s"); name == "id" {
		name = "msg"
	}
	for range g.rng.IntN(most + 1) {
		v := g.value(s.Items, name, r, depth+1)
		if text := fmt.Sprint(v); !seen[text] {
			list, seen[text] = append(list, v), true
		}
	}
	return list
}

func rare() []string {
	return []string{"flowId", "providerIps", "order", "orderBy", "orderWindowSeconds", "latestOnly", "onPoison", "poisonAfter"}
}

func (g *fuzzGen) object(s *fuzzSchema, name string, r *fuzzRequest, depth int) map[string]any {
	v := map[string]any{}
	for _, field := range slices.Sorted(maps.Keys(s.Properties)) {
		often := 4
		if slices.Contains(rare(), field) { // they go with few providers, or with each other
			often = 30
		}
		if slices.Contains(s.Required, field) || g.chance(often) {
			v[field] = g.value(s.Properties[field], field, r, depth+1)
		}
	}
	if len(s.Properties) == 0 && s.Additional != nil && s.Additional.schema != nil {
		for range g.rng.IntN(4) {
			key := pick(g, "a", "b", "X-One", "X-Two", "Authorization", "naïve", "é", "X-"+strconv.Itoa(g.rng.IntN(9)))
			if name == "headers" {
				key = pick(g, "X-One", "x-two", "Authorization", "X-"+strconv.Itoa(g.rng.IntN(9)))
			}
			v[key] = g.value(s.Additional.schema, "", r, depth+1)
		}
	}
	if len(s.Properties) == 0 && s.Additional != nil && s.Additional.schema == nil {
		v, _ = g.anything(3).(map[string]any)
	}
	return v
}

// anything is an object with whatever JSON has.
func (g *fuzzGen) anything(depth int) any {
	v := map[string]any{}
	for range g.rng.IntN(4) {
		key := pick(g, "id", "type", "user", "a", "é", "", "$ref", "data.x")
		switch g.rng.IntN(6) {
		case 0:
			v[key] = g.rng.Float64() * 1e6
		case 1:
			v[key] = pick[any](g, nil, true, "", "text", "<b>&", []any{}, []any{1, "2", nil})
		case 2, 3:
			if depth > 0 {
				v[key] = g.anything(depth - 1)
			}
		default:
			v[key] = g.word()
		}
	}
	return v
}

func (g *fuzzGen) word() string {
	return pick(g, "alpha", "beta", "gamma", "delta", "Grüße", "日本", "x", "a b", "<&>\"'", "%41", "line\nbreak")
}

// text is a string that fits a schema.
func (g *fuzzGen) text(s *fuzzSchema, name string, r *fuzzRequest) string {
	if v, ok := g.known(name, r); ok {
		text, _ := v.(string)
		return text
	}
	s = g.doc.resolve(s)
	most := 12
	if s.MaxLength != nil {
		most = min(most, *s.MaxLength)
		if g.chance(40) {
			most = min(*s.MaxLength, 20_000)
		}
	}
	n := max(s.MinLength, min(most, g.rng.IntN(most+1)))
	if n == most && n < 13 {
		n = max(s.MinLength, 1)
	}
	switch {
	case s.Format == "date-time":
		return g.date()
	case name == "order" && s.Pattern != "":
		return pick(g, "none", "subject", "subject:user", "subject:order")
	case s.Pattern != "":
		return g.matching(s.Pattern, max(n, 1))
	case g.chance(2):
		return g.word()
	}
	return strings.Repeat("t", n)
}

// matching is a text of one class of characters, which is all that the
// document's patterns ask for.
func (g *fuzzGen) matching(pattern string, n int) string {
	both, ok := g.chars[pattern]
	if !ok {
		re := g.doc.pattern(pattern)
		for c := byte(' '); c < 0x7f; c++ {
			if re.MatchString(string(c)) {
				both[0] += string(c)
			}
		}
		for c := byte(' '); c < 0x7f; c++ {
			if re.MatchString(both[0][:1] + string(c)) {
				both[1] += string(c)
			}
		}
		g.chars[pattern] = both
	}
	out := []byte{both[0][g.rng.IntN(len(both[0]))]}
	for len(out) < n {
		out = append(out, both[1][g.rng.IntN(len(both[1]))])
	}
	return string(out)
}

// date is a time, most often near to now.
func (g *fuzzGen) date() string {
	if g.chance(8) {
		return pick(g, "0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "1999-12-31T23:59:59.999999999Z", "2069-09-07T15:47:35Z", "2262-04-12T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00Z", "0000-01-01T00:00:00+23:59", "2020-02-29T12:00:00+14:00")
	}
	at := time.Now().Add(time.Duration(g.rng.Int64N(int64(40*24*time.Hour))) - 20*24*time.Hour)
	return at.In(time.FixedZone("", (g.rng.IntN(24)-12)*3600)).Format(pick(g, time.RFC3339, time.RFC3339Nano))
}

// known is a value for a field whose meaning the schema does not tell.
func (g *fuzzGen) known(name string, r *fuzzRequest) (any, bool) {
	now := time.Now()
	switch name {
	case "url":
		return g.receiver + pick(g, "/200", "/200", "/200?a=b", "/200", "/204", "/204", "/500", "/400", "/410", "/429", "/302", "/200/%C3%A9?q=%20"), true
	case "secret", "key":
		raw := make([]byte, 24+g.rng.IntN(41))
		for i := range raw {
			raw[i] = byte(g.rng.Uint32())
		}
		return pick(g, "whsec_", "whsec_", "") + base64.StdEncoding.EncodeToString(raw), true
	case "type", "provider":
		return pick(g, "generic-webhook", "generic-webhook", "generic-webhook", "svix", "stripe", "github", "veriff", "generic", "standard-webhooks", "meeva"), r.op.RequestBody != nil
	case "policy":
		return pick(g, "stripe", "github", "veriff", "standard-webhooks", "svix"), true
	case "scheme":
		return pick(g, "stripe", "github", "veriff", "standard-webhooks"), true
	case "connectors":
		return []any{}, true
	case "settings":
		return map[string]any{"signatureHeaders": pick[any](g, "webhook", "svix", "both")}, true
	case "spec":
		return g.openAPI(), true
	case "schemas":
		return map[string]any{"1": g.jsonSchema(3)}, !g.chance(6)
	case "rawPayload":
		return base64.StdEncoding.EncodeToString([]byte(g.word())), true
	case "allowIp", "allowIps":
		return pick[any](g, "10.0.0.0/8", "192.0.2.7", "2001:db8::/32"), name == "allowIp"
	case "deliverAt":
		if g.chance(8) {
			return g.date(), true
		}
		return now.Add(time.Hour + time.Duration(g.rng.Int64N(int64(28*24*time.Hour)))).Format(time.RFC3339), true
	case "since", "after":
		return now.Add(-time.Duration(g.rng.Int64N(int64(13 * 24 * time.Hour)))).Format(time.RFC3339), !g.chance(8)
	case "until", "before":
		return now.Add(time.Duration(g.rng.Int64N(int64(time.Hour))) - time.Minute).Format(time.RFC3339), !g.chance(8)
	}
	return g.named(name, r)
}

// named is the name of something, out of few so that they meet.
func (g *fuzzGen) named(name string, r *fuzzRequest) (any, bool) {
	from := ""
	switch name {
	case "app_id", "appId":
		from = g.pool.one("app")
	case "endpoint_id":
		from, _ = g.pool.of("ep", r.params["app_id"])
	case "msg", "search":
		from, _ = g.pool.of("msg", r.params["app_id"])
	case "id":
		from = pick(g, "u1", "u2", "a/b", "ü 3", "msg_x")
	case "iterator":
		if from = g.pool.one("iterator of " + r.op.ID); from == "" || g.chance(4) {
			from = g.pool.one("iterator")
		}
	case "source":
		from = g.pool.one("src")
	case "last_event_id", "Last-Event-ID":
		from = g.pool.one(pick(g, "msg", "atmpt"))
	case "eventType", "event_type_name", "event_type", "eventTypePattern":
		from = pick(g, "user.signup", "user.left", "invoice.paid", "a", "type-"+strconv.Itoa(g.rng.IntN(20)))
	case "uid", "eventId":
		if g.chance(2) {
			return name + "-" + strconv.Itoa(g.rng.IntN(60)), true
		}
		return "u" + strconv.FormatUint(g.rng.Uint64(), 36), true
	case "kind":
		from = pick(g, "user", "session", "verification")
	case "kinds":
		from = pick(g, "message", "attempt", "message,attempt")
	case "sessionId":
		from = "session" + strconv.Itoa(g.rng.IntN(9))
	}
	return from, from != ""
}
