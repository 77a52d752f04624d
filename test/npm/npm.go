// Package npm gives tests that run JavaScript what they need.
package npm

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"
)

// patience bounds an installation, which fetches packages.
const patience = 5 * time.Minute

// Packages installs the packages of the test's directory where that is due, and returns the path of node. missing
// is what else is not there; nil is nothing. Only who runs tests by hand may do without: CI sets CI.
func Packages(t testing.TB, missing error) (node string) {
	t.Helper()
	node, err := exec.LookPath("node")
	npm, err2 := exec.LookPath("npm")
	if err := errors.Join(err, err2, missing); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("a program is needed: %v", err)
		}
		t.Skipf("a program is needed: %v; `make test` installs it where apt-get can (Node.js 20 or later)", err)
	}
	const marker = "node_modules/.package-lock.json" // written by npm at the end
	lock, err := os.Stat("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if done, err := os.Stat(marker); err == nil && !done.ModTime().Before(lock.ModTime()) {
		return node
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
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
