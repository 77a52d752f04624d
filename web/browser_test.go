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
	"time"

	// What the program is built from, so that a cached result never stands for another.
	_ "github.com/sigpost/sigpost/internal/cli"
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

// installed installs the npm packages where that is due and returns the path of
// node. Only who runs tests by hand may do without: CI sets CI.
func installed(t *testing.T) string {
	t.Helper()
	node, err := exec.LookPath("node")
	npm, err2 := exec.LookPath("npm")
	err3 := errors.New("there is no " + browsers[0])
	if os.Getenv("CHROMIUM") != "" || slices.ContainsFunc(browsers, func(name string) bool { _, err := exec.LookPath(name); return err == nil }) {
		err3 = nil
	}
	if err := errors.Join(err, err2, err3); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("node, npm and chromium are needed: %v", err)
		}
		t.Skipf("node, npm and chromium are needed: %v; `make test` installs them where apt-get can", err)
	}
	readSources(t)
	const marker = "node_modules/.package-lock.json" // written by npm at the end
	lock, err := os.Stat("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if done, err := os.Stat(marker); err == nil && !done.ModTime().Before(lock.ModTime()) {
		return node
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	defer cancel()
	if out, err := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund").CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	now := time.Now()
	if err := os.Chtimes(marker, now, now); err != nil {
		t.Fatal(err)
	}
	return node
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
