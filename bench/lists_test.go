package main

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sigpost/sigpost/bench/internal/load"
)

func TestTokenIsOneThatALibraryAccepts(t *testing.T) {
	t.Parallel()
	var claims jwt.RegisteredClaims
	key := func(*jwt.Token) (any, error) { return []byte("s3cret"), nil }
	_, err := jwt.ParseWithClaims(token("s3cret", "org_bench", time.Now()), &claims, key, jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired())
	if err != nil || claims.Subject != "org_bench" {
		t.Errorf("subject %q, %v", claims.Subject, err)
	}
	if _, err := jwt.ParseWithClaims(token("other", "org_bench", time.Now()), &claims, key); err == nil {
		t.Error("a token signed with another secret was accepted")
	}
}

func TestListKindsAskForFiftyWithEachFilter(t *testing.T) {
	t.Parallel()
	middle := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	kinds := listKinds("app_1", "ep_1", middle)
	filters, names := map[string]bool{}, map[string]bool{}
	for _, k := range kinds {
		u, err := url.Parse(k.path)
		if err != nil {
			t.Fatal(err)
		}
		q, err := url.ParseQuery(u.RawQuery)
		if err != nil || q.Get("limit") != "50" || !strings.HasPrefix(u.Path, "/api/v1/app/app_1/") {
			t.Errorf("%s asks for %s, %v", k.name, k.path, err)
		}
		of, _, _ := strings.Cut(k.name, " ")
		for name, values := range q {
			filters[of+" "+name] = true
			if strings.ContainsAny(values[0], " ") && name != "search" || strings.Contains(values[0], "MIDDLE") || values[0] == "" {
				t.Errorf("%s: %s is %q", k.name, name, values)
			}
		}
		if q.Has("before") && q.Get("before") != "2026-01-02T03:04:05.000006Z" {
			t.Errorf("%s: before %q", k.name, q.Get("before"))
		}
		if names[k.name] {
			t.Errorf("%q is there twice", k.name)
		}
		names[k.name] = true
	}
	for _, want := range []string{
		"msg event_types", "msg channel", "msg tag", "msg before", "msg after", "msg search", "attempt status", "attempt status_code_class",
		"attempt event_types", "endpoint/msg status", "endpoint/msg event_types",
	} {
		if !filters[want] {
			t.Errorf("no list with %s", want)
		}
	}
}

func TestAListThatShouldHaveRowsAndHasNoneIsAnError(t *testing.T) {
	t.Parallel()
	b := small(t)
	kinds := []listKind{{name: "empty", rows: false}, {name: "full", rows: true}}
	asked := []load.Asked{{Took: []time.Duration{time.Millisecond}}, {Took: []time.Duration{3 * time.Millisecond, 30 * time.Millisecond}, Rows: 50}}
	sent := load.Result{Accepted: make([]load.Answer, 10), Ended: time.Second}
	if err := b.reportLists(&library{}, kinds, asked, sent); err != nil {
		t.Fatal(err)
	}
	rows := map[string]float64{}
	for _, r := range b.report.Rows {
		rows[r.Name] = r.Value
	}
	if rows["all lists p50"] != 3 || rows["all lists p99"] != 30 || rows["full p99"] != 30 || rows["empty p99"] != 1 || rows["written meanwhile"] != 10 {
		t.Errorf("rows %v", rows)
	}
	asked[1].Rows = 0 // but it goes on
	if err := b.reportLists(&library{}, kinds, asked, sent); err != nil {
		t.Error(err)
	}
	asked[1].Done = true
	if err := b.reportLists(&library{}, kinds, asked, sent); err == nil || !strings.Contains(err.Error(), `the list "full" was empty`) {
		t.Errorf("error %v", err)
	}
}

func TestLastTimeIsReadBehindWarnings(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "filled")
	for text, want := range map[string]time.Time{
		"2026-01-02T03:04:05.6Z\n":                      time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC),
		"level=WARN msg=late\n2026-01-02T03:04:05Z\n\n": time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := lastTime(path); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if err := os.WriteFile(path, []byte("level=WARN msg=late\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := lastTime(path); err == nil {
		t.Error("a warning was taken for a time")
	}
}
