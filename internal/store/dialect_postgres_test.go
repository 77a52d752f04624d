package store

import "testing"

func TestTranslateMakesPostgreSQLOfWhatSQLiteTakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, out string }{
		{"parameters are counted", "a = ? AND b = ?", "a = $1 AND b = $2"},
		{"numbers stay, and are counted on", "a = ?2 AND b = ?1 AND c = ?", "a = $2 AND b = $1 AND c = $3"},
		{"text is left alone", `SELECT '?' || 'it''s x''?' FROM "?" WHERE a = ?`, `SELECT '?' || 'it''s x''?' FROM "?" WHERE a = $1`},
		{"hints of joins", "FROM a CROSS JOIN b ON b.id = a.id", "FROM a JOIN b ON b.id = a.id"},
		{"hints of indexes", "FROM deliveries INDEXED BY deliveries_held WHERE state = 5", "FROM deliveries WHERE state = 5"},
		{"what is for PostgreSQL only", "WHERE a = ? /*pg ORDER BY c.id */ LIMIT ?", "WHERE a = $1  ORDER BY c.id  LIMIT $2"},
		{"glob", "AND (c.kind GLOB ? OR c.kind GLOB ?) AND b = ?", "AND (glob(c.kind, $1) OR glob(c.kind, $2)) AND b = $3"},
		{"bytes", "substr(a, 1, 1) <> x'01' AND b = ?", `substr(a, 1, 1) <> '\x01'::bytea AND b = $1`},
	} {
		if got := translate(c.in); got != c.out {
			t.Errorf("%s:\n%s\nis right, not\n%s", c.name, c.out, got)
		}
	}
}

func TestCleanLeavesNothingThatATextColumnRefuses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":              "",
		"plain":         "plain",
		"ü\u2028":       "ü\u2028",
		"a\x00b\x00":    "a\uFFFDb\uFFFD",
		"a\xff\xfeb":    "a\uFFFDb",
		"\xed\xa0\x80x": "\uFFFDx", // half of a surrogate pair
	} {
		if got := clean(in); got != want {
			t.Errorf("%q became %q, %q is right", in, got, want)
		}
	}
}
