package strictyaml

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
)

type shape string

func (s *shape) UnmarshalText(b []byte) error {
	if string(b) != "round" && string(b) != "square" {
		return errors.New(quote(string(b)) + " is neither round nor square")
	}
	*s = shape(b)
	return nil
}

type Shared struct {
	Note string `yaml:"note"`
}

type part struct {
	Name   string        `yaml:"name"`
	Secret hook.Secret   `yaml:"secret"`
	Keys   []hook.Secret `yaml:"keys"`
}

type thing struct {
	Shared `yaml:",inline"`

	Title   string            `yaml:"title"`
	On      bool              `yaml:"on"`
	Count   int               `yaml:"count"`
	Small   uint8             `yaml:"small"`
	Ratio   float64           `yaml:"ratio"`
	Wait    time.Duration     `yaml:"wait"`
	Waits   []time.Duration   `yaml:"waits"`
	Net     netip.Prefix      `yaml:"net"`
	Addr    netip.Addr        `yaml:"addr"`
	Shape   shape             `yaml:"shape"`
	Words   []string          `yaml:"words"`
	Headers map[string]string `yaml:"headers"`
	Part    *part             `yaml:"part"`
	Parts   []part            `yaml:"parts"`
	Named   map[string]part   `yaml:"named"`
	Rest    Raw               `yaml:"rest"`
	Again   *thing            `yaml:"again"`
	//lint:ignore U1000 unexported fields must be passed over
	hidden int
}

func TestDecodeReadsEveryKindOfValue(t *testing.T) {
	t.Parallel()
	const text = `
title: 0123
note: inlined
on: true
count: -4
small: "200"
ratio: 1.5
wait: 5m
waits: [1s, 168h]
net: 10.0.0.0/8
addr: ::1
shape: round
words: [a, 7, yes]
headers: {X-A: b}
part: &p {name: one, secret: s, keys: [k]}
parts: [*p, {<<: *p, name: two}]
named: {x: *p}
count2:
`
	got := thing{Count: 1}
	if err := Decode([]byte(strings.Replace(text, "count2:", "again:", 1)), &got); err != nil {
		t.Fatal(err)
	}
	one := part{"one", "s", []hook.Secret{"k"}}
	two := one
	two.Name = "two"
	want := thing{
		Shared: Shared{"inlined"}, Title: "0123", On: true, Count: -4, Small: 200, Ratio: 1.5,
		Wait: 5 * time.Minute, Waits: []time.Duration{time.Second, 168 * time.Hour},
		Net: netip.MustParsePrefix("10.0.0.0/8"), Addr: netip.IPv6Loopback(), Shape: "round",
		Words: []string{"a", "7", "yes"}, Headers: map[string]string{"X-A": "b"},
		Part: &one, Parts: []part{one, two}, Named: map[string]part{"x": one},
	}
	options := cmp.Options{
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.AllowUnexported(thing{}),
		cmp.Comparer(func(a, b Raw) bool { return a == b }),
	}
	if diff := cmp.Diff(want, got, options); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeReportsAllFaultsTogether(t *testing.T) {
	t.Parallel()
	const text = `title: [no]
tilte: x
zzzzzzz: x
on: yes
count: many
small: 256
small: 1
ratio: .nan
wait: 30
waits: [7d, soon]
net: 10.1.2.3
addr: host
shape: oval
words: alone
headers: {X-A: {}, "a b":, c: [1]}
part: text
parts:
  - name: {}
  -
  - nmae: x
named: []
rest: !magic x
hidden: 1
? [a]
: b
again: {again: {words: {a: b}}}
<<: 5
`
	var got thing
	err := Decode([]byte(text), &got)
	want := `line 1: title: this must be a single value, not a list
line 2: tilte: this key is not known; did you mean "title"?
line 3: zzzzzzz: this key is not known; there are note, title, on, count, small, ratio, wait, waits, net, addr, shape, words, headers, part, parts, named, rest, again
line 4: on: "yes" is neither true nor false; write true
line 5: count: "many" is not a whole number
line 6: small: "256" is out of range
line 7: small: this key is there twice, first in line 6; remove one
line 8: ratio: ".nan" is not a number
line 9: wait: "30" has no unit; write "30s" for seconds, or use ms, m, h
line 10: waits[0]: "7d" is not a duration; write "168h" for days
line 10: waits[1]: "soon" is not a duration; write it like "30s", "5m" or "168h"
line 11: net: "10.1.2.3" is an address, not a network; write "10.1.2.3/32"
line 12: addr: "host" is not an IP address
line 13: shape: "oval" is neither round nor square
line 14: words: "alone" must be a list; write ["alone"]
line 15: headers.X-A: this must be a single value, not a mapping (name: value)
line 15: headers["a b"]: this key has no value; remove it, or write "" for empty text
line 15: headers.c: this must be a single value, not a list
line 16: part: this must be a mapping (name: value), not a single value
line 18: parts[0].name: this must be a single value, not a mapping (name: value)
line 19: parts[1]: this item is empty; remove it, or write "" for empty text
line 20: parts[2].nmae: this key is not known; did you mean "name"?
line 21: named: this must be a mapping (name: value), not a list
line 22: rest: tags are not understood; put a value that begins with ! in quotes
line 23: hidden: this key is not known; there are note, title, on, count, small, ratio, wait, waits, net, addr, shape, words, headers, part, parts, named, rest, again
line 24: a key must be text, not a list or a mapping
line 26: again.again.words: this must be a list, not a mapping (name: value)
line 27: << merges mappings only; write <<: *name with the anchor &name at a mapping`
	if err == nil {
		t.Fatal("no faults")
	}
	var faults Faults
	if !errors.As(err, &faults) {
		t.Fatalf("error is a %T", err)
	}
	if diff := cmp.Diff(strings.Split(want, "\n"), inOrder(faults)); diff != "" {
		t.Error(diff)
	}
}

// inOrder are the faults by line. Faults of keys come before those of values.
func inOrder(faults Faults) []string {
	lines := make([][]string, 100)
	for _, f := range faults {
		lines[f.Line] = append(lines[f.Line], f.String())
	}
	var all []string
	for _, line := range lines {
		all = append(all, line...)
	}
	return all
}

func TestDecodeRefusesWhatIsNotOneDocument(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"tab":            {"part:\n\tname: x\n", "line 2: this is not valid YAML: found character that cannot start any token; indent with spaces, never with tabs"},
		"colon in value": {"title: a: b\n", "line 1: this is not valid YAML: mapping values are not allowed in this context; check the indentation, and put a value that has a colon and a space in quotes"},
		"open bracket":   {"title: x\nwords: [a, b\n", "line 2: this is not valid YAML: did not find expected ',' or ']'; check the indentation and brackets here and in the lines below"},
		"two documents":  {"title: x\n---\ntitle: y\n", `line 2: a second document begins here; there must be only one, so remove the line "---" above it`},
		"no anchor":      {"title: x\npart: {secret: *MARKER}\n", "line 2: there is no anchor for this alias (*…); put a value that begins with * in quotes"},
		"a list":         {"- a\n", "line 1: this must be a mapping (name: value), not a list"},
		"bad indent":     {"part:\n    name: x\n  secret: y\n", "line 3: this is not valid YAML: did not find expected key; check the indentation and brackets here and in the lines below"},
		"at sign":        {"a: b\ntitle: @x\n", "line 2: this is not valid YAML: found character that cannot start any token; put a value that begins with @, ` or % in quotes"},
		"not UTF-8":      {"on: true\ntitle: \xff\n", "line 2: this is not UTF-8 text; save the file as UTF-8"},
		"control":        {"on: true\n\ntitle: \x01\n", "line 3: this line has a control character; remove it"},
		"deep":           {"words: " + strings.Repeat("[", 20000), "line 1: this is not valid YAML: exceeded max depth of 10000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Decode([]byte(c.text), &thing{})
			if err == nil {
				t.Fatal("no fault")
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeOfAnEmptyDocumentChangesNothing(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "\n", "# only words\n", "---\n", "null\n"} {
		got := thing{Title: "kept"}
		if err := Decode([]byte(text), &got); err != nil || got.Title != "kept" {
			t.Errorf("%q: title %q, error %v", text, got.Title, err)
		}
	}
}

func TestAliasBombsAndCyclesAreFaultsAndCheap(t *testing.T) {
	t.Parallel()
	type tree struct {
		Kids []tree `yaml:"kids"`
	}
	type forest struct {
		A tree `yaml:"a"`
		B tree `yaml:"b"`
		C tree `yaml:"c"`
		D tree `yaml:"d"`
		E tree `yaml:"e"`
		F tree `yaml:"f"`
	}
	text := `a: &a {kids: [{}, {}, {}, {}, {}, {}, {}, {}, {}, {}]}
b: &b {kids: [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]}
c: &c {kids: [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]}
d: &d {kids: [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]}
e: &e {kids: [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]}
f: &f {kids: [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]}
`
	err := Decode([]byte(text), &forest{})
	if err == nil || !strings.Contains(err.Error(), "aliases stand for more than 100000 values") || strings.Contains(err.Error(), "\n") {
		t.Errorf("bomb: %.300v", err)
	}
	err = Decode([]byte("again: &a\n  again: *a\n"), &thing{})
	if diff := cmp.Diff("line 2: again.again.again: this alias stands inside the value that it stands for", err.Error()); diff != "" {
		t.Error(diff)
	}
	err = Decode([]byte("again: &a\n  <<: [*a, *a]\n"), &thing{})
	if err == nil || !strings.HasPrefix(err.Error(), "line 2: again: this alias stands inside") {
		t.Errorf("cycle of merges: %v", err)
	}
}

func TestDeepNestingIsAFault(t *testing.T) {
	t.Parallel()
	err := Decode([]byte(strings.Repeat("{again: ", 150)+"{}"+strings.Repeat("}", 150)), &thing{})
	if err == nil || !strings.HasSuffix(err.Error(), "this is nested deeper than 100 levels") {
		t.Errorf("%.300v", err)
	}
}

func TestMergedKeysGiveWayToOwnOnes(t *testing.T) {
	t.Parallel()
	var got struct{ A, B, C map[string]string }
	text := "a: &a {x: a, y: a}\nb: &b {y: b, z: b}\nc: {x: c, <<: [*a, *b]}\n"
	if err := Decode([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"x": "c", "y": "a", "z": "b"}, got.C); diff != "" {
		t.Error(diff)
	}
}

func TestFaultsNeverHoldSecrets(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"part: {secret: [MARKER]}", "part: {secret: {MARKER: MARKER}}", "part: MARKER", "parts: MARKER",
		"parts: [MARKER]", "part: {keys: MARKER}", "part: {keys: [[MARKER]]}", "part: {keys: {MARKER: x}}",
		"named: MARKER", "named: {x: MARKER}", "part: {secret: !MARKER x}", "part: {secret: *MARKER}", "again: MARKER",
		"part: {secret: a, secret: MARKER}", "part: {secert: MARKER}", "rest: !a MARKER", "part: {secret: MARKER: MARKER}",
	} {
		err := Decode([]byte(text), &thing{})
		if err == nil {
			t.Errorf("%s: no fault", text)
		} else if strings.Contains(err.Error(), "MARKER") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestScalarHookSeesValuesOnlyAndItsErrorsAreFaults(t *testing.T) {
	t.Parallel()
	d := Decoder{Scalar: func(path, value string) (string, error) {
		if value == "bad" {
			return "", errors.New("no good")
		}
		return strings.ReplaceAll(value, "$N", "7: [x"), nil
	}}
	var got thing
	err := d.Decode([]byte("title: $N\nheaders: {$N: $N, x: bad}\nwords: [bad]\n"), &got)
	if diff := cmp.Diff("line 2: headers.x: no good\nline 3: words[0]: no good", err.Error()); diff != "" {
		t.Error(diff)
	}
	if got.Title != "7: [x" || got.Headers["$N"] != "7: [x" {
		t.Errorf("title %q, headers %q", got.Title, got.Headers)
	}
}

func TestRawKeepsPathsLinesAndTheHook(t *testing.T) {
	t.Parallel()
	type holder struct {
		Rests []Raw `yaml:"rests"`
		None  *Raw  `yaml:"none"`
	}
	var got holder
	d := Decoder{Scalar: func(path, value string) (string, error) {
		if value == "bad" {
			return "", errors.New(path + " is bad")
		}
		return value, nil
	}}
	text := "rests:\n  - plain\n  - title: x\n    count: many\n    words:\n      - a\n      - bad\n    parts: [{name: x}]\n"
	if err := d.Decode([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if got.None != nil || !(Raw{}).IsZero() || (Raw{}).Decode(&got) != nil {
		t.Error("a missing key is not zero")
	}
	if !got.Rests[0].IsText() || got.Rests[1].IsText() || got.Rests[1].Path() != "rests[1]" {
		t.Error("IsText or Path is wrong")
	}
	err := got.Rests[1].Decode(new(thing))
	want := "line 4: rests[1].count: \"many\" is not a whole number\nline 7: rests[1].words[1]: rests[1].words[1] is bad"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	for at, want := range map[string]string{
		"":                    "line 3: rests[1]: wrong",
		"parts[0].name":       "line 8: rests[1].parts[0].name: wrong",
		"parts[0].secret":     "line 8: rests[1].parts[0].secret: wrong",
		"words[1]":            "line 7: rests[1].words[1]: wrong",
		`headers["a.b"].what`: `line 3: rests[1].headers["a.b"].what: wrong`,
	} {
		if got := got.Rests[1].Fault(at, "wrong").String(); got != want {
			t.Errorf("Fault(%q) is %q, want %q", at, got, want)
		}
	}
}

func TestDidYouMeanNamesTheNearest(t *testing.T) {
	t.Parallel()
	known := []string{"veriff", "metamap", "on_duplicate", "url"}
	for got, want := range map[string]string{
		"verif": "veriff", "VERIFF": "veriff", "onDuplicate": "on_duplicate", "on-dublicate": "on_duplicate",
		"uri": "url", "": "", "stripe": "", strings.Repeat("x", 1000): "",
	} {
		if want != "" {
			want = `did you mean "` + want + `"?`
		}
		if got := DidYouMean(got, known); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestDecodeRefusesWhatIsNoPointer(t *testing.T) {
	t.Parallel()
	var none *thing
	for _, into := range []any{thing{}, none, nil} {
		if err := Decode([]byte("title: x"), into); err == nil {
			t.Errorf("%T was taken", into)
		}
	}
}

func FuzzDecodeNeverPanics(f *testing.F) {
	f.Add("part: &p {name: one, secret: s, keys: [k]}\nparts: [*p, {<<: *p, name: two}]\n")
	f.Add("again: &a\n  <<: [*a, *a]\n? [a]\n: b\n")
	f.Add("title: !!binary x\nwait: 1e999999s\nrest: [1, {a: b}]\n--- \n")
	f.Add("headers: {? : x, \"\": y}\nsmall: -0x1\n")
	f.Fuzz(func(t *testing.T, text string) {
		var got thing
		if err := Decode([]byte(text), &got); err == nil && !got.Rest.IsZero() {
			_ = got.Rest.Decode(new(thing))
			_ = got.Rest.Fault("a.b[0]", "x")
		}
	})
}
