package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// variant is the program with other files in the place of some of its own, or with some
// more: a clock that is wrong, a version to come. It is built when it is first asked
// for, and once; Go keeps what it compiled for the next time.
type variant struct {
	name string
	// files gives what stands where, by absolute path.
	files func() (map[string]string, error)

	once   sync.Once
	failed error
}

// binary is the path of the variant's program.
func (v *variant) binary(t *testing.T) string {
	t.Helper()
	v.once.Do(func() { v.failed = v.build() })
	if v.failed != nil {
		t.Fatalf("build %s: %v", v.name, v.failed)
	}
	return filepath.Join(workDir, v.name)
}

func (v *variant) build() error {
	files, err := v.files()
	if err != nil {
		return err
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for path, text := range files {
		own := filepath.Join(workDir, fmt.Sprintf("%s-%d-%s", v.name, len(overlay.Replace), filepath.Base(path)))
		if err := os.WriteFile(own, []byte(text), 0o600); err != nil {
			return err
		}
		overlay.Replace[path] = own
	}
	raw, err := json.Marshal(overlay)
	if err != nil {
		return err
	}
	list := filepath.Join(workDir, v.name+".json")
	if err := os.WriteFile(list, raw, 0o600); err != nil {
		return err
	}
	return buildSigpost(filepath.Join(workDir, v.name), "-overlay", list)
}

// buildSigpost builds the program.
func buildSigpost(path string, flags ...string) error {
	cmd := exec.Command("go", append(append([]string{"build", "-o", path}, flags...), "github.com/sigpost/sigpost/cmd/sigpost")...)
	var says bytes.Buffer
	cmd.Stderr = &says
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w\n%s", err, says.String())
	}
	return nil
}

// skewed is the program with a clock that is off by as many seconds as the variable
// TEST_CLOCK_SKEW says: the wall clock only, as it is where nobody sets it.
var skewed = variant{name: "skewed", files: func() (map[string]string, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	path := filepath.Join(dir, "time.go")
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	const now = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	if strings.Count(string(raw), now) != 1 {
		return nil, fmt.Errorf("%s does not have time.Now as this test knows it; look there how it reads the clock, and mend this", path)
	}
	return map[string]string{
		path: strings.Replace(string(raw), now, now+"\tsec += skewOfTests\n", 1),
		filepath.Join(dir, "skew_of_tests.go"): `package time

import "syscall"

var skewOfTests = readSkewOfTests()

func readSkewOfTests() (seconds int64) {
	text, _ := syscall.Getenv("TEST_CLOCK_SKEW")
	for _, c := range []byte(text) {
		if '0' <= c && c <= '9' {
			seconds = 10*seconds + int64(c-'0')
		}
	}
	if len(text) > 0 && text[0] == '-' {
		return -seconds
	}
	return seconds
}
`}, nil
}}
