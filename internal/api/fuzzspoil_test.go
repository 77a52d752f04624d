package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// rawJSON stands in a body as it is, be it JSON or not.
type rawJSON string

// note says what was done to a request.
func (r *fuzzRequest) note(format string, args ...any) {
	r.changed = append(r.changed, fmt.Sprintf(format, args...))
}

// spoil does one thing to a request that a client should not do.
func (g *fuzzGen) spoil(r *fuzzRequest) {
	hasBody := r.op.RequestBody != nil && r.text == nil
	switch what := g.rng.IntN(20); {
	case what < 9 && hasBody:
		g.spoilBody(r)
	case what < 11 && hasBody:
		g.spoilText(r)
	case what < 12:
		g.spoilHeader(r)
	case what < 14:
		r.token = pick(g, append([]string{"Bearer " + g.pool.one("token"), "Bearer " + g.pool.one("token")}, g.strange...)...)
		r.note("token %.20s", r.token)
	case what < 16:
		g.spoilPath(r)
	case what < 19:
		g.spoilQuery(r)
	default:
		r.method = pick(g, "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "FOO", "get")
		r.note("method")
	}
}

// hostile are values that belong nowhere, as they stand in a body.
func (g *fuzzGen) hostile() rawJSON {
	return rawJSON(pick(g,
		`null`, `true`, `0`, `-1`, `1`, `1.5`, `1e400`, `-1e400`, `1e-400`, `-0`, `9223372036854775807`, `9223372036854775808`, `-9223372036854775809`, `18446744073709551616`,
		`1e3`, `123456789012345678901234567890`, `""`, `" "`, `"\u0000"`, `"a\u0000b"`, `"\ud800"`, `"\udc00\ud800"`, `"\uffff"`, "\"\xff\xfe\"", "\"\xc3\"", `"\r\nX-Evil: 1"`, `"..\/.."`, `".."`,
		`"'; DROP TABLE messages; --"`, `"%00%2e%2e"`, `"\u202e\u200b"`, `"😀"`, `"{{7*7}}"`, `"null"`, `"0"`, `"whsec_"`, `"whsec_AAAA"`, `"whsk_AAAA"`, `"whpk_AAAA"`, `"whsec_!!"`,
		`[]`, `{}`, `[[]]`, `[null]`, `{"":""}`, `{"$ref":"#"}`, `[1,"a",null,{}]`, `"2024-02-30T00:00:00Z"`, `"2024-01-01"`, `"99999-01-01T00:00:00Z"`, `"-0001-01-01T00:00:00Z"`,
		`"*"`, `"a.*.b"`, `"app_0000000000000000000000000000"`, `"file"`, `"10.0.0.0/99"`, `"::/0"`, `"0x7f.1"`,
		`"`+strings.Repeat("a", 300)+`"`, `"`+strings.Repeat("é", 5000)+`"`, `"`+strings.Repeat("z", 70_000)+`"`,
		strings.Repeat("[", 100)+strings.Repeat("]", 100), strings.Repeat(`{"a":`, 200)+"1"+strings.Repeat("}", 200), "["+strings.Repeat(`"a",`, 2000)+`"b"]`,
	))
}

// spoiledURL is one that a fuzzer's endpoint may name without anything leaving
// this machine: what it resolves to is private, or it is of a top-level domain
// that does not exist.
func (g *fuzzGen) spoiledURL() string {
	host := strings.TrimPrefix(g.receiver, "http://")
	_, port, _ := strings.Cut(host, ":")
	return pick(g,
		"http://user:secret@"+host+"/", "ftp://"+host, "file:///etc/passwd", "javascript:alert(1)", "gopher://"+host, "//"+host, "http:"+host, "http://", "https://?", "http:///x",
		"http://10.0.0.1/", "http://192.168.1.1:8080/", "http://169.254.169.254/latest/meta-data", "http://[::1]:"+port, "http://[::ffff:127.0.0.1]:"+port+"/200", "http://[fe80::1%25eth0]/", "http://[::", "http://[::1",
		"http://127.1:"+port, "http://2130706433:"+port, "http://0x7f000001:"+port, "http://0:"+port, "http://localhost:"+port+"/200", "http://LOCALHOST.:"+port, "http://127.0.0.1:0", "http://127.0.0.1:99999", "http://127.0.0.1:x",
		"http://bücher.invalid/", "https://xn--bcher-kva.invalid/", "http://☃.invalid", "http://a_b.invalid", "http://"+strings.Repeat("a", 70)+".invalid", "http://a..invalid", "http://.invalid", "http://-.invalid", "http://a.invalid.", "http://a b.invalid",
		g.receiver+"/#fragment", g.receiver+"/%zz", g.receiver+"/a b", g.receiver+"/\x00", g.receiver+"/\r\nX: y", g.receiver+"/é", g.receiver+"/?"+strings.Repeat("q", 3000), "HTTP://"+host+"/200", "http://"+host+"?x", " "+g.receiver,
	)
}

// spoilBody changes one place of a body.
func (g *fuzzGen) spoilBody(r *fuzzRequest) {
	type place struct {
		set    func(any)
		remove func()
		name   string
	}
	var places []place
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(v)) {
				places = append(places, place{func(x any) { v[name] = x }, func() { delete(v, name) }, name})
				walk(v[name])
			}
		case []any:
			for i := range v {
				places = append(places, place{func(x any) { v[i] = x }, func() { v[i] = nil }, "item"})
				walk(v[i])
			}
		}
	}
	walk(r.body)
	top, isObject := r.body.(map[string]any)
	if isObject && g.chance(5) { // fields of the schema that the request does not have
		fields := g.doc.resolve(r.op.RequestBody.Content["application/json"].Schema).Properties
		if len(fields) > 0 {
			name := pick(g, slices.Sorted(maps.Keys(fields))...)
			top[name] = g.hostile()
			r.note("hostile %s", name)
			return
		}
	}
	if len(places) == 0 || g.chance(12) {
		r.body = g.hostile()
		r.note("whole body")
		return
	}
	p := pick(g, places...)
	switch what := g.rng.IntN(10); {
	case p.name == "url" && what < 7:
		p.set(g.spoiledURL())
	case what < 7:
		p.set(g.hostile())
	case what < 8:
		p.remove()
	case isObject:
		top[pick(g, "$schema", "__proto__", "id", "unknown", "createdAt", "", "NAME", "Url", "EVENTTYPE", strings.Repeat("k", 1000))] = g.hostile()
	}
	r.note("body at %s", p.name)
}

// spoilText changes a body as text.
func (g *fuzzGen) spoilText(r *fuzzRequest) {
	text := r.json()
	switch g.rng.IntN(12) {
	case 0:
		text = text[:g.rng.IntN(len(text)+1)]
	case 1:
		text = pick(g, "", " ", "\n\n", "null", "[]", `"x"`, "1", "true", "{", "}", "nul", "{}{}", "\x00", "{'a':1}")
	case 2:
		text = strings.Repeat("[", 10_000)
	case 3:
		text = strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000)
	case 4:
		text += pick(g, "x", " {}", "\x00", "]", "// no")
	case 5:
		text = "\xef\xbb\xbf" + text
	case 6: // the first of two keys of the same name
		if rest, ok := strings.CutPrefix(text, "{"); ok && rest != "}" {
			name, _, _ := strings.Cut(rest, ":")
			text = "{" + name + ":" + string(g.hostile()) + "," + rest
		}
	case 7: // the second
		if rest, ok := strings.CutPrefix(text, "{"); ok && rest != "}" {
			name, _, _ := strings.Cut(rest, ":")
			text = strings.TrimSuffix(text, "}") + "," + name + ":" + string(g.hostile()) + "}"
		}
	case 8:
		if len(text) > 0 {
			raw := []byte(text)
			raw[g.rng.IntN(len(raw))] = byte(g.rng.Uint32())
			text = string(raw)
		}
	case 9:
		text = url.QueryEscape(text)
	case 10:
		if g.chance(4) { // longer than any operation takes
			text = strings.TrimSuffix(text, "}") + strings.Repeat(" ", 9<<20)
		}
	default:
		text = strings.ReplaceAll(text, ":", pick(g, ": ", ":\t\n", "::", "="))
	}
	r.text = &text
	r.note("text")
}

func (g *fuzzGen) spoilHeader(r *fuzzRequest) {
	name, value := "Content-Type", pick(g, "", "text/plain", "application/xml", "application/json; charset=utf-16", "application/json;", "application/problem+json", "application/cbor", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ";;;", "\xff", "APPLICATION/JSON", "application/vnd.api+json")
	switch g.rng.IntN(6) {
	case 0:
		name, value = "Accept", pick(g, "application/cbor", "text/html", "*/*;q=0", "application/xml", ";;", "application/json;q=0.1, application/problem+json", "\xff", "image/*")
	case 1, 2:
		name, value = "Idempotency-Key", pick(g, "a1", "b2", " ", "\t", "\x80\xff", strings.Repeat("k", 256), strings.Repeat("k", 257), "a1,a2", "é")
	case 3:
		name, value = pick(g, "Content-Encoding", "If-None-Match", "If-Match", "Range", "Prefer", "X-HTTP-Method-Override", "Sigpost-Organization", "Origin", "Expect", "Last-Event-ID"), pick(g, "gzip", "*", "bytes=0-1", "DELETE", "org_1", "null", "100-continue", "\xff", strings.Repeat("h", 5000))
	}
	r.header = append(r.header, [2]string{name, value})
	r.note("%s: %.40q", name, value)
}

func (g *fuzzGen) spoilPath(r *fuzzRequest) {
	r.note("path")
	if len(r.params) > 0 && g.chance(2) {
		name := pick(g, slices.Sorted(maps.Keys(r.params))...)
		id := r.params[name]
		r.params[name] = pick(g,
			"", ".", "..", "/", "a/b", "\x00", "\xff", "é", " ", "%", "%41", "*", "{app_id}", ";", "?", "#", "a:b", "-", "_", "null", "0", "app_", "ep_1", "msg_", strings.Repeat("a", 257), strings.Repeat("é", 300),
			id+"0", id[:len(id)/2], strings.ToUpper(id), strings.Replace(id, "a", "b", 1), g.pool.one("ep"), g.pool.one("msg"), g.pool.one("app"), g.pool.one("atmpt"), g.pool.one("qtask"), g.pool.one("dlv"))
		return
	}
	path := r.render()
	switch g.rng.IntN(6) {
	case 0, 1:
		path += "/"
	case 2: // the last part with every byte escaped
		i := strings.LastIndexByte(path, '/') + 1
		plain, _ := url.PathUnescape(path[i:])
		var out strings.Builder
		for _, c := range []byte(plain) {
			out.WriteString("%" + string("0123456789abcdef"[c>>4]) + string("0123456789ABCDEF"[c&15]))
		}
		path = path[:i] + out.String()
	case 3:
		path = strings.Replace(path, "/", pick(g, "//", "/./", "/x/../", "/%2e/", "%2F", "/%2e%2e/"), 1+g.rng.IntN(3))
		if path[0] != '/' {
			path = "/" + path
		}
	case 4:
		path += pick(g, "/x", "/msg", "/..", "/%00", "//", "/secret", "%20", "%00", ";a=b")
	default:
		path = strings.Replace(path, "v1", pick(g, "v2", "V1", "v1%20"), 1)
	}
	r.path = path
}

func (g *fuzzGen) spoilQuery(r *fuzzRequest) {
	var names []string
	for _, p := range r.op.Parameters {
		if p.In == "query" {
			names = append(names, p.Name)
		}
	}
	r.note("query")
	if len(names) == 0 || g.chance(8) {
		r.raw = pick(g, "%zz", "a;b", "&&&", "=", "limit=%", "limit=1&limit=2", "limit[]=1", strings.Repeat("a=b&", 2000), "iterator=%00", "\xff", "limit=%31%30", "unknown=1")
		return
	}
	r.query.Set(pick(g, names...), pick(g,
		"", " ", "0", "-1", "1", "251", "1e3", "9223372036854775808", "1.5", "true", "null", "\x00", "\xff\xfe", "é", ",", ",,a", "a,b", "-", "--", "-msg_0", "ascending ", "DESCENDING",
		"2024-13-01T00:00:00Z", "2024-01-01", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "-1-01-01T00:00:00Z", "'", "%", "_", "\\", strings.Repeat("a", 300), strings.Repeat("a,", 200),
		g.pool.one("iterator"), "-"+g.pool.one("iterator"), "--"+g.pool.one("iterator"), g.pool.one("app"), g.pool.one("ep"), g.pool.one("msg"), g.pool.one("atmpt"), "-"+g.pool.one("key"), g.pool.one("qtask")+"0"))
}

// json is the body as it is sent.
func (r *fuzzRequest) json() string {
	switch {
	case r.text != nil:
		return *r.text
	case r.op.RequestBody == nil:
		return ""
	}
	var out strings.Builder
	writeJSON(&out, r.body)
	return out.String()
}

// writeJSON writes a value; rawJSON as it is, which the library would refuse.
func writeJSON(out *strings.Builder, v any) {
	switch v := v.(type) {
	case rawJSON:
		out.WriteString(string(v))
	case map[string]any:
		out.WriteByte('{')
		for i, name := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				out.WriteByte(',')
			}
			writeJSON(out, name)
			out.WriteByte(':')
			writeJSON(out, v[name])
		}
		out.WriteByte('}')
	case []any:
		out.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				out.WriteByte(',')
			}
			writeJSON(out, item)
		}
		out.WriteByte(']')
	default:
		raw, _ := json.Marshal(v)
		out.Write(raw)
	}
}
