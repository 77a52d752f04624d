package config

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/sigpost/sigpost/internal/hook"
)

// limitSecretFile bounds a file that holds secrets, in bytes.
const limitSecretFile = 64 << 10

// secretFile reads the file form of a secret (key_file beside key) into into.
func (l *loader) secretFile(at, name string, into *hook.Secret) {
	if name == "" {
		return
	}
	if *into != "" {
		l.fault(at+"_file", "give either %s or %s_file, not both", last(at), last(at))
		return
	}
	text, ok := l.readSecret(at+"_file", name)
	if ok {
		*into = hook.Secret(strings.TrimRight(text, "\r\n"))
	}
}

// secretLines reads a file with one secret a line; empty lines do not count.
func (l *loader) secretLines(at, name string) (secrets []hook.Secret) {
	text, _ := l.readSecret(at, name)
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			secrets = append(secrets, hook.Secret(line))
		}
	}
	return secrets
}

// readSecret reads a file whose name is relative to the configuration file.
func (l *loader) readSecret(at, name string) (string, bool) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(l.dir, name)
	}
	info, err := os.Stat(name)
	if err != nil {
		l.fault(at, "the file cannot be read: %v", err)
		return "", false
	}
	if info.IsDir() || info.Size() > limitSecretFile {
		l.fault(at, "%s is not a file of at most %s", name, Size(limitSecretFile))
		return "", false
	}
	l.warnOfReaders(at, name)
	raw, err := os.ReadFile(name)
	if err != nil {
		l.fault(at, "the file cannot be read: %v", err)
		return "", false
	}
	if strings.TrimSpace(string(raw)) == "" {
		l.fault(at, "the file %s is empty", name)
		return "", false
	}
	return string(raw), true
}

// warnOfReaders warns when others than the owner may read the file called name,
// which holds secrets. On Windows the mode says nothing about that.
func (l *loader) warnOfReaders(at, name string) {
	info, err := os.Stat(name)
	if err != nil || runtime.GOOS == "windows" || info.Mode().Perm()&0o077 == 0 {
		return
	}
	if at != "" {
		at += ": "
	}
	l.warn("%s%s holds secrets and can be read by others (mode %#o); chmod 600 it", at, name, info.Mode().Perm())
}

// secretAt is the key of the i-th of all secrets at a place, where `single`
// says that the first of them came from its key secret.
func secretAt(at string, i int, single bool) string {
	if single && i == 0 {
		return at + ".secret"
	}
	if single {
		i--
	}
	return at + ".secrets[" + strconv.Itoa(i) + "]"
}

// last is the last key of a path.
func last(at string) string { return at[strings.LastIndexByte(at, '.')+1:] }
