package clients_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sigpost/sigpost/test/npm"
)

// headerSets are what a server may call the headers of its signatures.
var headerSets = []string{"webhook", "svix"}

// Each client has an organization of its own, so they share a server and never meet.
func TestJavaScriptClientsWorkWithBothHeaderSets(t *testing.T) {
	t.Parallel()
	node := installed(t)
	for _, headers := range headerSets {
		s, receiver := serve(t, headers), newReceiver(t)
		for _, c := range []struct {
			name, script, sdk, org, token string
		}{
			{"npm svix 2", "suite.mjs", "svix", "org_npm2", ""},
			{"npm svix 1", "suite.mjs", "svix1", "org_npm1", s.madeToken(t, "org_npm1")},
			{"verifying libraries", "verify.mjs", "svix", "org_verify", ""},
		} {
			t.Run(headers+" headers/"+c.name, func(t *testing.T) {
				t.Parallel()
				cmd := command(t, node, "--test-reporter", "spec", c.script)
				cmd.Env = append(s.environment(t, c.org, c.token, receiver), "SDK="+c.sdk)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", c.script, err, out)
				}
			})
		}
		t.Run(headers+" headers/twenty lines", func(t *testing.T) {
			t.Parallel()
			twentyLines(t, node, s, receiver)
		})
	}
}

// The Go SDK's tests are in a module of their own. The result of an earlier run
// says nothing about this server, hence -count 1.
func TestGoSDKWorksWithBothHeaderSets(t *testing.T) {
	t.Parallel()
	readSources(t)
	for _, headers := range headerSets {
		t.Run(headers+" headers", func(t *testing.T) {
			t.Parallel()
			s := serve(t, headers)
			cmd := command(t, "go", "test", "-C", "gosdk", "-count", "1", "./...")
			cmd.Env = s.environment(t, "org_go", "", newReceiver(t))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("go test -C gosdk: %v\n%s", err, out)
			}
		})
	}
}

// The lock file is for any registry, so it names none.
func TestLockFileNamesNoRegistry(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, trace := range []string{"resolved", "://"} {
		if strings.Contains(string(text), trace) {
			t.Errorf("package-lock.json has %q; install with the .npmrc that stands beside it", trace)
		}
	}
}

// command runs in this directory and is given up when it takes too long.
func command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, name, args...)
}

// twentyLines runs the script that a user would write first, and looks at what
// came of it: the same message, twice.
func twentyLines(t *testing.T, node string, s *server, receiver string) {
	t.Helper()
	const script = "twenty.mjs"
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n > 20 {
		t.Errorf("%s has %d lines; twenty are promised", script, n)
	}
	cmd := command(t, node, script)
	cmd.Env = append(s.environment(t, "org_twenty", "", receiver), "HOOK_URL="+receiver+"/hook/twenty")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", script, err, out, &stderr)
	}
	var said struct {
		Message  string
		Attempts []struct{ Status, ResponseStatusCode int }
	}
	if err := json.Unmarshal(out, &said); err != nil {
		t.Fatalf("%s said %q: %v", script, out, err)
	}
	if len(said.Attempts) != 1 || said.Attempts[0].Status != 0 || said.Attempts[0].ResponseStatusCode != http.StatusOK {
		t.Errorf("%s listed %+v; one attempt that succeeded is right", script, said.Attempts)
	}
	for i, r := range came(t, receiver, "twenty", 2) {
		if id := r.Headers[s.headers+"-id"]; id != said.Message || !strings.HasPrefix(id, "msg_") {
			t.Errorf("request %d has the id %q; the message is %q", i, id, said.Message)
		}
	}
}

// came are the requests that a hook of the receiver got, when they are n.
func came(t *testing.T, receiver, name string, n int) (list []recorded) {
	t.Helper()
	res, err := http.Get(receiver + "/recorded/" + name + "?n=" + strconv.Itoa(n))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&list); err != nil || len(list) != n {
		t.Fatalf("%d requests came to %s, not %d: %v", len(list), name, n, err)
	}
	return list
}

// installed gives the path of node, with the npm packages in place.
func installed(t *testing.T) string {
	t.Helper()
	readSources(t)
	return npm.Packages(t, nil)
}

// readSources reads what the clients are made of: go test keeps a result for as
// long as the files that the test itself read are unchanged.
func readSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "node_modules":
			return fs.SkipDir
		case !d.IsDir() && slices.Contains([]string{".mjs", ".json", ".go", ".mod"}, filepath.Ext(path)):
			_, err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
