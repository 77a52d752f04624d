// Package sigpost_test holds the rules of the house: who may import whom.
package sigpost_test

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sigpost/sigpost"

// mayImport says which packages of ours a package may import. What is not
// listed may import nothing of ours. server, cli and cmd stand above all.
var mayImport = map[string][]string{
	"internal/hook":       {},
	"signature":           {},
	"internal/strictyaml": {"internal/hook"},
	"internal/provider":   {"internal/hook", "signature", "internal/strictyaml"},
	"internal/config":     {"internal/hook", "signature", "internal/strictyaml"},
	"internal/intake":     {"internal/hook", "signature"},
	"internal/pipeline":   {"internal/hook"},
	"internal/dispatch":   {"internal/hook"},
	"internal/send":       {"internal/hook", "signature"},
	"internal/store":      {"internal/hook"},
	"internal/telemetry":  {},
	"internal/api":        {"internal/hook", "signature"},
	"internal/task":       {"internal/hook"},
	"internal/seal":       {"internal/hook"},
	"internal/alert":      {"internal/hook"},
	"internal/mail":       {"internal/hook"},
	"web":                 {},
	"internal/password":   {"internal/hook"},
}

// homes says where each outside library lives; it may be imported nowhere else.
// Tests may import any.
var homes = map[string][]string{
	"modernc.org/sqlite":                  {"internal/store"},
	"github.com/jackc/pgx/v5":             {"internal/store", "bench"},
	"github.com/pressly/goose/v3":         {"internal/store"},
	"github.com/gofrs/flock":              {"internal/store"},
	"github.com/FastFilter/xorfilter":     {"internal/store"},
	"go.yaml.in/yaml/v3":                  {"internal/strictyaml"},
	"github.com/agnivade/levenshtein":     {"internal/strictyaml"},
	"github.com/tidwall/gjson":            {"internal/cli"},
	"code.dny.dev/ssrf":                   {"internal/send"},
	"golang.org/x/net":                    {"internal/config", "internal/send"},
	"golang.org/x/sync":                   {"internal/intake", "bench"},
	"github.com/prometheus/client_golang": {"internal/telemetry"},
	"github.com/danielgtaylor/huma/v2":    {"internal/api"},
	"github.com/golang-jwt/jwt/v5":        {"internal/api"},
	"golang.org/x/sys":                    {"internal/send", "internal/store"},
	"golang.org/x/crypto":                 {"internal/seal", "internal/password"},
	"github.com/wneessen/go-mail":         {"internal/mail"},
	"github.com/spf13/cobra":              {"internal/cli"},
	"github.com/spf13/pflag":              {"internal/cli"},
	"github.com/tidwall/sjson":            {"internal/cli"},
	"github.com/google/go-cmp":            {"internal/store/storetest"},
}

type listed struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p listed
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < len(mayImport) {
		t.Fatalf("only %d packages were listed", len(all))
	}
	return all
}

func TestPackagesImportOnlyWhatTheyMay(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		allowed, ruled := mayImport[name]
		for _, imported := range p.Imports {
			if own, ok := strings.CutPrefix(imported, module+"/"); ok {
				if ruled && !slices.Contains(allowed, own) {
					t.Errorf("%s imports %s: packages beside each other do not; what both need is a word in hook or a parameter", name, own)
				}
				if strings.HasPrefix(name, "internal/") && !above(name) && above(own) {
					t.Errorf("%s imports %s, which stands above it", name, own)
				}
				continue
			}
			if !strings.Contains(strings.Split(imported, "/")[0], ".") {
				continue // the standard library
			}
			if !atHome(name, imported) {
				t.Errorf("%s imports %s, whose home is elsewhere (see homes)", name, imported)
			}
		}
	}
}

func above(name string) bool {
	return name == "internal/server" || name == "internal/cli" || strings.HasPrefix(name, "cmd/")
}

func atHome(name, imported string) bool {
	for library, at := range homes {
		if imported != library && !strings.HasPrefix(imported, library+"/") {
			continue
		}
		for _, home := range at {
			if name == home || strings.HasPrefix(name, home+"/") {
				return true
			}
		}
	}
	return false
}
