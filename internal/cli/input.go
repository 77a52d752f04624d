package cli

import (
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// maxFile is the biggest file that a command reads, in bytes: the biggest body
// that a source can be set to take.
const maxFile = 20 << 20

// stdin is the name under which standard input is read.
const stdin = "-"

// readFile is the content of a file, or of standard input under the name "-".
// what begins the error: the flag or argument that named it.
func (p *program) readFile(what, name string) ([]byte, error) {
	from := p.in
	if name != stdin {
		f, err := os.Open(name)
		if err != nil {
			return nil, usage("%s: %w; give the name of a file, or - for standard input", what, err)
		}
		defer f.Close()
		from = f
	}
	content, err := io.ReadAll(io.LimitReader(from, maxFile+1))
	if err != nil {
		return nil, usage("%s: read %s: %w", what, name, err)
	}
	if len(content) > maxFile {
		return nil, usage("%s: %s has more than %d bytes, which is the most that a webhook can have here", what, name, maxFile)
	}
	return content, nil
}

// oneFile is for commands that work on one body.
func oneFile(c *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	return usage("%s takes one FILE with the exact bytes of the body, or - for standard input; it got %d", c.CommandPath(), len(args))
}

// noArguments is for commands that are told everything by flags.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage("%s takes no argument, so %q is one too many; `%s --help` shows how it is used", c.CommandPath(), args[0], c.CommandPath())
}

// secretFlags are the ways to give secrets without a configuration.
type secretFlags struct {
	values []string
	files  []string
}

// secretVariable is the environment variable that is looked at when no flag gives a secret.
const secretVariable = "SIGPOST_SECRET"

func (s *secretFlags) register(c *cobra.Command) {
	c.Flags().StringArrayVar(&s.values, "secret", nil, "the `SECRET`; may be given several times while it is being rotated")
	c.Flags().StringArrayVar(&s.files, "secret-file", nil, "`FILE` with one secret a line, so that none stands in the process list")
}

// readSecrets are the secrets of the flags, else the one of the environment, in
// the order given. There may be none.
func (p *program) readSecrets(s *secretFlags) ([]string, error) {
	for _, secret := range s.values {
		if secret == "" {
			return nil, usage("--secret is empty; is the variable that it comes from set?")
		}
	}
	secrets := s.values
	for _, name := range s.files {
		content, err := p.readFile("--secret-file", name)
		if err != nil {
			return nil, err
		}
		lines := strings.FieldsFunc(string(content), func(r rune) bool { return r == '\n' || r == '\r' })
		if len(lines) == 0 {
			return nil, usage("--secret-file: %s has no secret in it", name)
		}
		secrets = append(secrets, lines...)
	}
	if len(secrets) > 0 {
		return secrets, nil
	}
	if secret, _ := p.env(secretVariable); secret != "" {
		return []string{secret}, nil
	}
	return nil, nil
}

// needSecrets is readSecrets where there must be one.
func (p *program) needSecrets(s *secretFlags) ([]string, error) {
	secrets, err := p.readSecrets(s)
	if err == nil && len(secrets) == 0 {
		err = usage("--secret is missing; give it, or --secret-file, or set %s", secretVariable)
	}
	return secrets, err
}

// readHeaders are the headers of "Name: value" lines. "@FILE" stands for the
// lines of a file, as `sigpost sign` prints them.
func (p *program) readHeaders(lines []string) (http.Header, error) {
	header := http.Header{}
	for _, line := range lines {
		name, isFile := strings.CutPrefix(line, "@")
		if !isFile {
			if err := addHeader(header, line); err != nil {
				return nil, err
			}
			continue
		}
		content, err := p.readFile("--header", name)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(content)) {
			line = strings.TrimRight(line, "\r\n")
			if line == "" {
				continue
			}
			if err := addHeader(header, line); err != nil {
				return nil, err
			}
		}
	}
	return header, nil
}

// addHeader reads one "Name: value". Its error leaves the value out, which may
// be a secret.
func addHeader(header http.Header, line string) error {
	name, value, found := strings.Cut(line, ":")
	name = strings.TrimSpace(name)
	switch {
	case !found:
		return usage("--header has no colon; write it as 'Name: value'")
	case name == "" || strings.ContainsFunc(name, notInName):
		return usage("--header %q is not the name of a header; write it as 'Name: value'", name)
	case strings.ContainsAny(value, "\r\n\x00"):
		return usage("--header %s: its value has a line break; give every header a flag of its own", name)
	}
	header.Add(name, strings.TrimSpace(value))
	return nil
}

// notInName says which characters the name of a header cannot have (RFC 9110, section 5.6.2).
func notInName(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

// readTime is the moment that a flag gives as Unix seconds or RFC 3339; now when
// it is left out.
func readTime(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Now(), nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n > maxUnix || n < 0 {
			return time.Time{}, usage("%s %s is beyond the year 9999; give Unix seconds, not milliseconds", flag, text)
		}
		return time.Unix(n, 0), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, usage("%s %q is no time; give Unix seconds, for example 1772442000, or 2026-03-02T09:00:00Z", flag, text)
	}
	return at, nil
}

// maxUnix is the last second of the year 9999.
const maxUnix = 253_402_300_799

// onlyOnce refuses to read standard input for two things.
func onlyOnce(names ...string) error {
	used := 0
	for _, name := range names {
		if name == stdin || name == "@"+stdin {
			used++
		}
	}
	if used > 1 {
		return usage("standard input (-) can be read for one thing only; put the other into a file")
	}
	return nil
}
