package config

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/sigpost/sigpost/internal/hook"
)

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
	if info.Mode().Perm()&0o077 != 0 {
		l.warn("%s: %s can be read by others (mode %#o); chmod 600 it", at, name, info.Mode().Perm())
	}
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

// last is the last key of a path.
func last(at string) string { return at[strings.LastIndexByte(at, '.')+1:] }
