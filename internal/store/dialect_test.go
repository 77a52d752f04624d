package store

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// dialectOnly are constructs that only PostgreSQL has, or that engines which speak its
// protocol take otherwise. They stand in the dialect files, so that a port changes
// those and no others.
var dialectOnly = regexp.MustCompile(`(?i)` + strings.Join([]string{
	`^listen\b`, `\bpg_\w+`, `to_regclass`, `format_type`, `current_setting`,
	`\battach partition`, `\bdetach partition`, `(?-i:\bPARTITION (OF|BY)\b)`, `\block table\b`, `skip locked`, `\bfor update\b`, `\blateral\b`, `\bctid\b`, `\bdo \$\$`,
	`fillfactor`, `autovacuum`, `\bset (local|session)\b`, `lock_timeout`, `enable_\w+scan`, `\bunnest\s*\(`, `generate_series`, `\binfinity`, `\bextract\s*\(`,
	`\bnow\(\)`, `clock_timestamp`, `\binterval '`, `[\w)\]]::\w`, `= any \(`, `\bas \((insert|update|delete)\b`, `\bgreatest\(`, `\bleast\(`, `array\[`, `jsonb`,
	`\binsert into\s(?s:.*)\bselect\s(?s:.*)\sorder by\s(?s:.*)\son conflict`,
}, "|"))

func TestWhatOnlyPostgreSQLTakesStandsInTheDialectFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	inDialect := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if _, ok := n.(*ast.ImportSpec); ok {
				return false
			}
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			found := dialectOnly.FindString(text)
			switch {
			case found == "":
			case strings.HasPrefix(name, "dialect_postgres"):
				inDialect++
			default:
				t.Errorf("%s: %q is for PostgreSQL only: give the statement a name in a file dialect_postgres….go, with a word on who does not take it", set.Position(lit.Pos()), found)
			}
			return true
		})
	}
	if inDialect < 30 {
		t.Errorf("only %d such texts are in the dialect files: the check does not find them", inDialect)
	}
}

func TestTheCheckOfDialectsKnowsWhatItLooksFor(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"LISTEN x", "SELECT pg_advisory_xact_lock(1)", "SELECT xact_start FROM pg_stat_activity", "ALTER TABLE a ATTACH PARTITION b DEFAULT", "x PARTITION OF y",
		"SELECT 1 FOR UPDATE SKIP LOCKED", "FROM a, LATERAL (SELECT 1) b", "LOCK TABLE x", "DO $$ BEGIN END $$", "WITH (fillfactor = 80)", "SET LOCAL lock_timeout = 1",
		"SELECT * FROM unnest($1::bigint[])", "WHERE ctid = ?", "seen_at > now()", "id = ANY ($1)", "WITH x AS (DELETE FROM y RETURNING *)", "SET enable_seqscan = off",
		"INSERT INTO a (b) SELECT b FROM c\nORDER BY b ON CONFLICT DO NOTHING",
	} {
		if !dialectOnly.MatchString(text) {
			t.Errorf("%q passes", text)
		}
	}
	for _, text := range []string{"SELECT id FROM a WHERE b = ? ORDER BY id LIMIT ?", "INSERT INTO a (b) VALUES (?) ON CONFLICT DO NOTHING", "the listener lost its connection", "make partition of %s"} {
		if found := dialectOnly.FindString(text); found != "" {
			t.Errorf("%q is refused for %q", text, found)
		}
	}
}
