package provider

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestCanonicalSortsAndKeepsWhatIsWritten(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		` { "b" : 1 , "a" : [ 1 , 2.50 , -0 , 1E+2 ] } `: `{"a":[1,2.50,-0,1E+2],"b":1}`,
		`{"a":{"z":1,"y":{"x":true,"w":null}}}`:          `{"a":{"y":{"w":null,"x":true},"z":1}}`,
		`{"b":1,"a":2,"b":0}`:                            `{"a":2,"b":1,"b":0}`,
		`{"é":"\u00e9 \"x\" ","a\n":" a  b "}`:           `{"a\n":" a  b ","é":"\u00e9 \"x\" "}`,
		`{"ab":1,"a!":2,"a":3}`:                          `{"a":3,"a!":2,"ab":1}`,
		`[]`:                                             `[]`,
		`{}`:                                             `{}`,
		"\"x\"\n":                                        `"x"`,
		`{"é":"\u00e9","e":1}`:                           `{"e":1,"é":"\u00e9"}`,
	}
	for body, want := range tests {
		got, ok := Canonical([]byte(body))
		if !ok || string(got) != want {
			t.Errorf("%s becomes %s, %v; want %s", body, got, ok, want)
		}
	}
}

func TestCanonicalKeepsTheOrderOfDuplicates(t *testing.T) {
	t.Parallel()
	var body, as, bs []string
	for i := range 200 { // enough for no sort to be stable by accident
		a, b := fmt.Sprintf(`"a":%d`, i), fmt.Sprintf(`"b":%d`, i)
		body, as, bs = append(body, b, a), append(as, a), append(bs, b)
	}
	want := "{" + strings.Join(append(as, bs...), ",") + "}"
	if got, _ := Canonical([]byte("{" + strings.Join(body, ",") + "}")); string(got) != want {
		t.Errorf("got %s", got)
	}
}

func TestCanonicalAgreesWithTheStandardLibraryOnWhatIsJSON(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		``, ` `, `{`, `}`, `[`, `]`, `[1,]`, `[,1]`, `[1 2]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a":1 "b":2}`, `{a:1}`, `{1:2}`,
		`01`, `-`, `-01`, `1.`, `.5`, `1e`, `1e+`, `+1`, `0x1`, `0`, `-0`, `0.0`, `1e5`, `1E-5`, `10`,
		`"`, `"\"`, `"\x"`, `"\u12"`, `"\u12g4"`, `"\uD800"`, "\"\t\"", "\"\x7f\"", "\"\xff\"", `"\/\b\f\n\r\t\\\""`,
		`tru`, `true`, `truex`, `null`, `nul`, `false`, `True`, `NaN`, `1 1`, `{}{}`, `[[]]`, `[{}]`, "\ufeff{}", "\v1", `{"a":[}`, `[{]}`,
	} {
		if _, ok := Canonical([]byte(body)); ok != json.Valid([]byte(body)) {
			t.Errorf("%q: got %v, the standard library says %v", body, ok, !ok)
		}
	}
}

func TestDedupeKeyIgnoresOrderAndLayoutOnly(t *testing.T) {
	t.Parallel()
	same := []string{
		`{"id":"s","code":7001,"data":{"x":1,"y":[1,2]}}`,
		`{"data":{"y":[1,2],"x":1},"code":7001,"id":"s"}`,
		"{\n  \"code\": 7001,\n  \"id\": \"s\",\n  \"data\": {\"x\": 1, \"y\": [1, 2]}\n}\n",
	}
	key := DedupeKey("", []byte(same[0]))
	for _, body := range same {
		if got := DedupeKey("", []byte(body)); got != key {
			t.Errorf("%s has the key %s", body, got)
		}
	}
	for _, body := range []string{
		`{"id":"s","code":7002,"data":{"x":1,"y":[1,2]}}`,
		`{"id":"s","code":7001,"data":{"x":1,"y":[2,1]}}`,
		`{"id":"s","code":"7001","data":{"x":1,"y":[1,2]}}`,
		`{"id":"s","code":7001,"data":{"x":1,"y":[1,2]},"z":null}`,
		`{"id":"s ","code":7001,"data":{"x":1,"y":[1,2]}}`,
		strings.TrimSuffix(same[0], "}"),
	} {
		if got := DedupeKey("", []byte(body)); got == key {
			t.Errorf("%s has the same key as %s", body, same[0])
		}
	}
}

func TestDedupeKeysOfIDsAndHashesNeverMeet(t *testing.T) {
	t.Parallel()
	hash := DedupeKey("", []byte("x"))
	if got := DedupeKey(hash, nil); got != "id:"+hash {
		t.Errorf("got %s", got)
	}
}

func FuzzCanonical(f *testing.F) {
	f.Add([]byte(`{"b":[1,{"a":"\u00e9"}],"a":{"z":-1.5e-3,"y":null}}`))
	f.Add([]byte(`{"a":1,"a":2,"":{}}`))
	f.Add([]byte(strings.Repeat(`{"b":1,"a":[`, 40) + strings.Repeat(`]}`, 40)))
	f.Fuzz(func(t *testing.T, body []byte) {
		once, ok := Canonical(body)
		if !ok {
			if json.Valid(body) && strings.Count(string(body), "[")+strings.Count(string(body), "{") <= maxDepth {
				t.Fatalf("%q is JSON", body)
			}
			return
		}
		if !json.Valid(once) {
			t.Fatalf("%q becomes %q, which is not JSON", body, once)
		}
		twice, ok := Canonical(once)
		if !ok || string(twice) != string(once) {
			t.Fatalf("%q becomes %q and then %q", body, once, twice)
		}
	})
}

func BenchmarkCanonicalReversed(b *testing.B) {
	var body strings.Builder
	body.WriteString("{")
	for c := 'z'; c > 'a'; c-- {
		body.WriteString(`"` + string(c) + `":{"y":"` + strings.Repeat("x", 40) + `","x":1},`)
	}
	body.WriteString(`"a":1}`)
	for b.Loop() {
		Canonical([]byte(body.String()))
	}
}
