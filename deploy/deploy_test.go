// Package deploy_test holds what the files for deployment must agree on: with
// the program, and with each other.
package deploy_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sigpost/sigpost/internal/cli"
	"github.com/sigpost/sigpost/internal/config"
	"github.com/sigpost/sigpost/internal/server"
)

func read(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// sigpost runs a command line in an empty environment.
func sigpost(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	var both bytes.Buffer
	none := func(string) (string, bool) { return "", false }
	code = cli.Run(t.Context(), "test", args, strings.NewReader(""), &both, &both, none)
	return both.String(), code
}

var flagForm = regexp.MustCompile(`^--[a-z-]+`)

// isCommand checks that a command line is one of sigpost's, flags included.
func isCommand(t *testing.T, args []string) {
	t.Helper()
	command := args[:1]
	help, code := sigpost(t, append(slices.Clone(command), "--help")...)
	if code != cli.ExitOK || !strings.Contains(help, "\n  sigpost "+command[0]) { // an unknown one shows the help of all
		t.Errorf("sigpost %s: there is no such command", command[0])
	}
	for _, arg := range args {
		if flag := flagForm.FindString(arg); flag != "" && !strings.Contains(help, flag+" ") {
			t.Errorf("sigpost %s has no flag %s", command[0], flag)
		}
	}
}

// load loads sigpost.yaml in an environment, as a server there would.
func load(t *testing.T, env map[string]string) *config.Config {
	t.Helper()
	var names []string
	for name := range env {
		names = append(names, name+"=")
	}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	cfg, _, err := server.Load(config.Options{File: "sigpost.yaml", Env: lookup, Environ: names})
	if err != nil {
		t.Fatalf("the configuration has faults: %v", err)
	}
	return cfg
}

func TestConfigurationHasNoFaults(t *testing.T) {
	t.Parallel()
	if out, code := sigpost(t, "config", "check", "sigpost.yaml"); code != cli.ExitOK {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// What stands in comments is there to be used.
func TestCommentedConfigurationHasNoFaults(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	commented := regexp.MustCompile(`^# ?( *(?:- )?[a-z_]+:.*)$`)
	for line := range strings.Lines(read(t, "sigpost.yaml")) {
		if m := commented.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil {
			line = m[1] + "\n"
		}
		b.WriteString(line)
	}
	name := t.TempDir() + "/sigpost.yaml"
	if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"VERIFF_SECRET": "abcdef12-abcd-abcd-abcd-abcdef012345", "APP_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
	cfg, _, err := server.Load(config.Options{File: name, Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Sources) != 1 || len(cfg.Sources[0].Endpoints) != 1 || len(cfg.AllowNets) != 1 || cfg.EgressProxy == "" {
		t.Errorf("something was not read: %d sources, %d networks, proxy %q", len(cfg.Sources), len(cfg.AllowNets), cfg.EgressProxy)
	}
}

// secrets is what the command in README.md writes into .env.
func secrets() map[string]string {
	return map[string]string{
		"POSTGRES_PASSWORD":  strings.Repeat("0f", 24),
		"SIGPOST_MASTER_KEY": base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32)),
	}
}

// Whoever has .env can read everything; it is made beside compose.yaml.
func TestSecretsStayOutOfGitAndOfTheImage(t *testing.T) {
	t.Parallel()
	if !slices.Contains(strings.Split(read(t, "../.gitignore"), "\n"), "/deploy/.env") {
		t.Error(".gitignore lacks /deploy/.env")
	}
	if ignore := parseIgnore(t, read(t, "../.dockerignore")); ignore.takes("deploy/.env") || ignore.takes(".git/config") {
		t.Error(".dockerignore takes secrets or history into the image's context")
	}
}
