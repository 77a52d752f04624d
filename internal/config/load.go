package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/strictyaml"
)

// Options say where a configuration comes from. Flags come before the
// environment, that before the file, that before the defaults.
type Options struct {
	// File is the configuration file; empty for $SIGPOST_CONFIG, or none.
	File string
	// Env looks up environment variables.
	Env func(name string) (string, bool)
	// Environ lists their names, so that a misspelt SIGPOST_… is found; may be nil.
	Environ []string
	// Flags are top-level keys given on the command line, by the names of the file.
	Flags map[string]string
	// Catalog knows the providers.
	Catalog Catalog
}

// settings are the keys that the environment (SIGPOST_ and the upper-case
// name) and flags may set.
var settings = []struct {
	name string
	set  func(c *Config, value string) error
}{
	{"listen", func(c *Config, v string) error { c.Listen = v; return nil }},
	{"intake_listen", func(c *Config, v string) error { c.IntakeListen = v; return nil }},
	{"data", func(c *Config, v string) error { c.Data = v; return nil }},
	{"public_url", func(c *Config, v string) error { c.PublicURL = v; return nil }},
	{"allow_nets", func(c *Config, v string) (err error) { c.AllowNets, err = networks(v); return err }},
	{"trusted_proxies", func(c *Config, v string) (err error) { c.TrustedProxies, err = networks(v); return err }},
	{"egress_proxy", func(c *Config, v string) error { c.EgressProxy = v; return nil }},
	{"tls_cert", func(c *Config, v string) error { c.TLS.Cert = v; return nil }},
	{"tls_key", func(c *Config, v string) error { c.TLS.Key = v; return nil }},
	{"control_socket", func(c *Config, v string) error { c.ControlSocket = v; return nil }},
	{"log_level", func(c *Config, v string) error { c.Log.Level = v; return nil }},
	{"log_format", func(c *Config, v string) error { c.Log.Format = v; return nil }},
	{"shutdown_timeout", func(c *Config, v string) (err error) {
		if c.ShutdownTimeout, err = time.ParseDuration(v); err != nil {
			return fmt.Errorf("%q is not a duration like 15s", v)
		}
		return nil
	}},
}

// otherVariables begin with SIGPOST_ and belong to commands.
var otherVariables = []string{"SIGPOST_CONFIG", "SIGPOST_SECRET"}

func networks(list string) ([]Network, error) {
	var out []Network
	for text := range strings.SplitSeq(list, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		var n Network
		if err := n.UnmarshalText([]byte(text)); err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		out = append(out, n)
	}
	return out, nil
}

// Load reads and checks a configuration. Its error is strictyaml.Faults with
// everything that is wrong.
func Load(o Options) (*Config, error) {
	l := &loader{Options: o, cfg: Default()}
	l.cfg.ControlSocket = ""
	l.file()
	l.environment()
	for _, s := range settings {
		if v, ok := o.Flags[s.name]; ok {
			if err := s.set(l.cfg, v); err != nil {
				l.fault("--"+strings.ReplaceAll(s.name, "_", "-"), "%v", err)
			}
		}
	}
	l.finish()
	l.check()
	if len(l.faults) > 0 {
		slices.SortStableFunc(l.faults, byLine)
		return nil, l.faults
	}
	return l.cfg, nil
}

// byLine orders faults as they stand in the file; those without a line come last.
func byLine(a, b strictyaml.Fault) int {
	if a.Line == 0 || b.Line == 0 {
		return b.Line - a.Line
	}
	return a.Line - b.Line
}

type loader struct {
	Options
	cfg    *Config
	raw    strictyaml.Raw // the document; zero without a file
	dir    string         // of the file
	faults strictyaml.Faults
}

// fault notes a fault of a key that may stand in the file.
func (l *loader) fault(at, format string, args ...any) {
	l.faults = append(l.faults, l.raw.Fault(at, format, args...))
}

// faulted says whether a key has a fault already, which explains what follows from it.
func (l *loader) faulted(at string) bool {
	return slices.ContainsFunc(l.faults, func(f strictyaml.Fault) bool { return f.Path == at })
}

func (l *loader) warn(format string, args ...any) {
	l.cfg.Warnings = append(l.cfg.Warnings, fmt.Sprintf(format, args...))
}

// file reads the configuration file.
func (l *loader) file() {
	name := l.File
	if name == "" {
		name, _ = l.Env("SIGPOST_CONFIG")
	}
	if name == "" {
		return
	}
	l.dir = filepath.Dir(name)
	data, err := os.ReadFile(name)
	if err != nil {
		l.fault("", "the configuration file cannot be read: %v", err)
		return
	}
	given := *l.cfg // the defaults
	l.cfg.Data = ""
	d := strictyaml.Decoder{Scalar: l.expand}
	err = d.Decode(data, &l.raw)
	if err == nil {
		err = l.raw.Decode(l.cfg)
	}
	l.add(err)
	l.rebase(given)
}

// rebase makes the paths that the file gave relative to it: the same file means
// the same data, wherever the program is started.
func (l *loader) rebase(given Config) {
	c := l.cfg
	for _, p := range []struct {
		now *string
		was string
	}{{&c.Data, given.Data}, {&c.ControlSocket, given.ControlSocket}, {&c.TLS.Cert, given.TLS.Cert}, {&c.TLS.Key, given.TLS.Key}} {
		if *p.now == "" {
			*p.now = p.was
		} else if !filepath.IsAbs(*p.now) {
			*p.now = filepath.Join(l.dir, *p.now)
		}
	}
}

// add notes what a decoder found.
func (l *loader) add(err error) {
	switch e := err.(type) {
	case nil:
	case strictyaml.Faults:
		l.faults = append(l.faults, e...)
	default:
		l.fault("", "%v", err)
	}
}

// expand puts the environment into one value: ${NAME} for a variable, $$ for $.
// It runs after parsing, so a value with odd characters is still one value.
func (l *loader) expand(_, value string) (string, error) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(value, "$")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		switch {
		case strings.HasPrefix(after, "$"):
			b.WriteByte('$')
			value = after[1:]
		case strings.HasPrefix(after, "{"):
			name, rest, closed := strings.Cut(after[1:], "}")
			if !closed || name == "" {
				return "", fmt.Errorf("a ${ without its } or without a name; write $$ for a dollar sign")
			}
			v, ok := l.Env(name)
			if !ok {
				return "", fmt.Errorf("the environment variable %s is not set", name)
			}
			b.WriteString(v)
			value = rest
		default:
			return "", fmt.Errorf("a single dollar sign; write $$ for it, or ${NAME} for a variable")
		}
	}
}

// environment applies SIGPOST_… variables.
func (l *loader) environment() {
	known := slices.Clone(otherVariables)
	for _, s := range settings {
		name := "SIGPOST_" + strings.ToUpper(s.name)
		known = append(known, name)
		if v, ok := l.Env(name); ok {
			if err := s.set(l.cfg, v); err != nil {
				l.faults = append(l.faults, strictyaml.Fault{Path: name, Message: err.Error()})
			}
		}
	}
	for _, entry := range l.Environ {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "SIGPOST_") && !slices.Contains(known, name) {
			hint := strictyaml.DidYouMean(name, known)
			if hint == "" {
				hint = "the variables are " + strings.Join(known, ", ")
			}
			l.faults = append(l.faults, strictyaml.Fault{Path: name, Message: "there is no such variable; " + hint})
		}
	}
}

// finish fills in what follows from other keys, and reads secrets from their files.
func (l *loader) finish() {
	c := l.cfg
	if c.ControlSocket == "" {
		c.ControlSocket = filepath.Join(c.Data, SocketName)
	}
	for i := range c.Sources {
		s, at := &c.Sources[i], "sources["+strconv.Itoa(i)+"]"
		l.secretFile(at+".token", s.TokenFile, &s.Token)
		l.secretFile(at+".auth_client", s.AuthClientFile, &s.AuthClient)
		if s.SecretsFile != "" {
			s.Secrets = append(s.Secrets, l.secretLines(at+".secrets_file", s.SecretsFile)...)
		}
		if s.MaxBody == 0 {
			s.MaxBody = defaultMaxBody
		}
		for j := range s.Endpoints {
			e, at := &s.Endpoints[j], fmt.Sprintf("%s.endpoints[%d]", at, j)
			l.secretFile(at+".secret", e.SecretFile, &e.Secret)
			if e.Secret != "" {
				e.Secrets = slices.Insert(e.Secrets, 0, e.Secret)
			}
			if e.Signature != nil {
				l.secretFile(at+".signature.secret", e.Signature.SecretFile, &e.Signature.Secret)
			}
		}
	}
}
