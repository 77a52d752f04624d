// Package clients_test proves that applications which use the Svix SDKs work
// against Sigpost: real clients drive the real binary, and what it delivers is
// verified with the libraries that receivers use.
//
// The clients run as processes of their own: Go in gosdk, a module of its own so
// that its needs stay out of the product's go.mod, and JavaScript in suite,
// verify.mjs and twenty.mjs. They learn from the environment where the server,
// its token and a receiver are (see server.environment).
package clients_test

import (
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	// What the binary is built from, so that a cached result never stands for another binary.
	_ "github.com/sigpost/sigpost/internal/cli"
)

// patience is far more than anything here takes; it only ends a test that failed.
const patience = 30 * time.Second

var binary string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sigpost-clients-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "sigpost")
	build := exec.Command("go", "build", "-o", binary, "github.com/sigpost/sigpost/cmd/sigpost")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		log.Fatalf("build sigpost: %v", err)
	}
	return m.Run()
}
