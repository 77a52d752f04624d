package deploy_test

import (
	"debug/elf"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/sigpost/sigpost/internal/cli"
)

// instruction is one of a Dockerfile.
type instruction struct{ name, rest string }

// parseDockerfile reads the instructions, those of the last stage apart.
func parseDockerfile(t *testing.T) (all, last []instruction) {
	t.Helper()
	text := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(read(t, "Dockerfile"), "")
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		all = append(all, instruction{name, strings.Join(strings.Fields(rest), " ")})
		if name == "FROM" {
			last = nil
		}
		last = append(last, all[len(all)-1])
	}
	return all, last
}

// one is the only instruction of a name.
func one(t *testing.T, list []instruction, name string) string {
	t.Helper()
	var found []string
	for _, i := range list {
		if i.name == name {
			found = append(found, i.rest)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d instructions %s", len(found), name)
	}
	return found[0]
}

// execForm reads ["program", "argument"], which needs no shell.
func execForm(t *testing.T, text string) (args []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &args); err != nil {
		t.Fatalf("%s is not in exec form: %v", text, err)
	}
	return args
}

// imageEnv is what the image sets.
func imageEnv(t *testing.T) map[string]string {
	t.Helper()
	_, last := parseDockerfile(t)
	env := map[string]string{}
	for _, pair := range strings.Fields(one(t, last, "ENV")) {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	return env
}

func TestImageFitsTheProgram(t *testing.T) {
	t.Parallel()
	_, last := parseDockerfile(t)
	if from := one(t, last, "FROM"); from != "scratch" {
		t.Errorf("made from %s, which may have a shell", from)
	}
	if !regexp.MustCompile(`^[1-9][0-9]*:[1-9][0-9]*$`).MatchString(one(t, last, "USER")) {
		t.Error("USER is not a number, so that an engine could not tell that it is not root")
	}
	cfg := load(t, imageEnv(t))
	if port := cfg.Listen[strings.LastIndex(cfg.Listen, ":")+1:]; one(t, last, "EXPOSE") != port {
		t.Errorf("it listens on %s", port)
	}
	for _, name := range []string{"VOLUME", "WORKDIR"} {
		if one(t, last, name) != cfg.Data {
			t.Errorf("%s is not the data directory, %s", name, cfg.Data)
		}
	}
	if one(t, last, "STOPSIGNAL") != "SIGTERM" {
		t.Error("it stops at another signal")
	}
	entry, command := execForm(t, one(t, last, "ENTRYPOINT")), execForm(t, one(t, last, "CMD"))
	isCommand(t, command)
	_, health, _ := strings.Cut(one(t, last, "HEALTHCHECK"), "CMD ")
	check := execForm(t, health)
	isCommand(t, check[1:])
	copied := slices.ContainsFunc(last, func(i instruction) bool { return i.name == "COPY" && strings.HasSuffix(i.rest, " "+entry[0]) })
	if len(entry) != 1 || check[0] != entry[0] || !copied {
		t.Errorf("%s is started, %s checks its health, and it is there: %v", entry, check[0], copied)
	}
	// Nobody answers here, so it is ill; only a wrong command line is more than that.
	if out, code := sigpost(t, append(check[1:], "--data", t.TempDir())...); code != cli.ExitInvalid {
		t.Errorf("the health check ends with %d: %s", code, out)
	}
	if !slices.ContainsFunc(last, func(i instruction) bool { return strings.HasSuffix(i.rest, " /etc/ssl/certs/ca-certificates.crt") }) {
		t.Error("no roots are copied, so no https endpoint verifies")
	}
}

// ignores is a .dockerignore: what comes later wins.
type ignores []struct {
	pattern string
	take    bool
}

func parseIgnore(t *testing.T, text string) (list ignores) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		pattern, take := strings.CutPrefix(line, "!")
		if strings.Count(pattern, "**") != strings.Count(pattern, "**/") || strings.LastIndex(pattern, "**/") > 0 {
			t.Fatalf("this test does not understand the pattern %s", line)
		}
		list = append(list, struct {
			pattern string
			take    bool
		}{pattern, take})
	}
	return list
}

// takes says whether a file is part of the context: a pattern speaks for what is below it, too.
func (l ignores) takes(name string) bool {
	take := true
	for _, i := range l {
		for at := name; at != "."; at = path.Dir(at) {
			subject, pattern := at, i.pattern
			if rest, ok := strings.CutPrefix(pattern, "**/"); ok {
				subject, pattern = path.Base(at), rest
			}
			if ok, err := path.Match(pattern, subject); err == nil && ok {
				take = i.take
				break
			}
		}
	}
	return take
}

// copyContext copies what an engine would get to see of the repository.
func copyContext(t *testing.T, to string) {
	t.Helper()
	ignore := parseIgnore(t, read(t, "../.dockerignore"))
	err := fs.WalkDir(os.DirFS(".."), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", "node_modules"}, d.Name()):
			return fs.SkipDir
		case d.IsDir() || !ignore.takes(name):
			return nil
		}
		raw, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			return err
		}
		into := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(into), 0o700); err != nil {
			return err
		}
		return os.WriteFile(into, raw, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

var buildForm = regexp.MustCompile(`CGO_ENABLED=0 .*go build (.*) -o (\S+) (\S+)$`)

// The build of the image, with its own command, on nothing but its context. The
// image has no dynamic linker.
func TestImageIsBuiltFromItsContextAndStatic(t *testing.T) {
	t.Parallel()
	all, _ := parseDockerfile(t)
	at := slices.IndexFunc(all, func(i instruction) bool { return i.name == "RUN" && buildForm.MatchString(i.rest) })
	if at < 0 {
		t.Fatal("no RUN builds it without cgo")
	}
	command := all[at].rest[strings.Index(all[at].rest, "CGO_ENABLED"):]
	m := buildForm.FindStringSubmatch(command)
	if flags := strings.ReplaceAll(m[1], "$VERSION", "$(VERSION)"); !strings.Contains(read(t, "../Makefile"), "build "+flags+" -o") {
		t.Errorf("`make build` has other flags than %s", flags)
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "built")
	copyContext(t, filepath.Join(dir, "context"))
	build := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(command, m[2], "'"+binary+"'", 1))
	build.Dir = filepath.Join(dir, "context")
	build.Env = append(os.Environ(), "VERSION=v9.9.9-test", "TARGETOS=linux", "TARGETARCH="+runtime.GOARCH)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the binary asks for a dynamic linker")
		}
	}
	if out, err := exec.CommandContext(t.Context(), binary, "--version").CombinedOutput(); runtime.GOOS == "linux" && (err != nil || !strings.Contains(string(out), "v9.9.9-test")) {
		t.Errorf("its version is %s, %v", out, err)
	}
}
