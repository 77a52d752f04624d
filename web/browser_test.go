package web_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	// What the program is built from, so that a cached result never stands for another.
	_ "github.com/sigpost/sigpost/internal/cli"
	"github.com/sigpost/sigpost/test/npm"
)

// browsers are the programs of which one is needed; test/browser.mjs knows the same.
var browsers = []string{"chromium", "chromium-browser", "google-chrome"}

// The tests in test/ drive a browser against the real program. They run beside
// each other as far as the machine has room, which is why they are one test.
func TestDashboardInABrowser(t *testing.T) {
	node := installed(t)
	program := filepath.Join(t.TempDir(), "sigpost")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/sigpost/sigpost/cmd/sigpost").CombinedOutput(); err != nil {
		t.Fatalf("build sigpost: %v\n%s", err, out)
	}
	files, err := filepath.Glob("test/*.test.mjs")
	if err != nil || len(files) < 5 {
		t.Fatalf("tests are %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 15*patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, node, "--test", "--test-reporter", "spec", file)
			cmd.Env = append(os.Environ(), "WEB_TEST_BINARY="+program)
			prepare(cmd)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", file, err, out)
			}
		})
	}
}

// installed gives the path of node, with the npm packages and a browser in place.
func installed(t *testing.T) string {
	t.Helper()
	readSources(t)
	if os.Getenv("CHROMIUM") != "" || slices.ContainsFunc(browsers, func(name string) bool { _, err := exec.LookPath(name); return err == nil }) {
		return npm.Packages(t, nil)
	}
	return npm.Packages(t, errors.New("there is no "+browsers[0]))
}

// readSources reads what the tests are made of: go test keeps a result for as
// long as the files that the test itself read are unchanged.
func readSources(t *testing.T) {
	t.Helper()
	for _, dir := range []string{"test", "dist", "../internal/provider/samples/veriff"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				_, err = os.ReadFile(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"package.json", "package-lock.json"} {
		if _, err := os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
}
