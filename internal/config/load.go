package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
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

// setting is a key outside of the file: its name there, and how it is set.
type setting struct {
	name string
	set  func(c *Config, value string) error
}

// key is what the file calls the setting: log_level is log.level there.
func (s setting) key() string {
	for prefix, group := range map[string]string{"tls_": "tls.", "log_": "log.", "alerts_email_": "alerts.email."} {
		if rest, ok := strings.CutPrefix(s.name, prefix); ok {
			return group + rest
		}
	}
	return s.name
}

// settings are the keys that the environment (SIGPOST_ and the upper-case
// name) and flags may set.
var settings = []setting{
	{"listen", func(c *Config, v string) error { c.Listen = v; return nil }},
	{"intake_listen", func(c *Config, v string) error { c.IntakeListen = v; return nil }},
	{"data", func(c *Config, v string) error { c.Data = v; return nil }},
	{"database_url", func(c *Config, v string) error { c.DatabaseURL = hook.Secret(v); return nil }},
	{"database_notify", func(c *Config, v string) error { c.DatabaseNotify = v; return nil }},
	{"public_url", func(c *Config, v string) error { c.PublicURL = v; return nil }},
	{"allow_nets", func(c *Config, v string) (err error) { c.AllowNets, err = networks(v); return err }},
	{"trusted_proxies", func(c *Config, v string) (err error) { c.TrustedProxies, err = networks(v); return err }},
	{"egress_proxy", func(c *Config, v string) error { c.EgressProxy = v; return nil }},
	{"jwt_secret", func(c *Config, v string) error { c.JWTSecret = hook.Secret(v); return nil }},
	{"master_key", func(c *Config, v string) error { c.MasterKey = hook.Secret(v); return nil }},
	{"signature_headers", func(c *Config, v string) error { c.SignatureHeaders = v; return nil }},
	{"tls_cert", func(c *Config, v string) error { c.TLS.Cert = v; return nil }},
	{"tls_key", func(c *Config, v string) error { c.TLS.Key = v; return nil }},
	{"control_socket", func(c *Config, v string) error { c.ControlSocket = v; return nil }},
	{"log_level", func(c *Config, v string) error { c.Log.Level = v; return nil }},
	{"log_format", func(c *Config, v string) error { c.Log.Format = v; return nil }},
	{"alerts_email_smtp", func(c *Config, v string) error { c.Alerts.Email.SMTP = hook.Secret(v); return nil }},
	{"alerts_email_password", func(c *Config, v string) error { c.Alerts.Email.Password = hook.Secret(v); return nil }},
	{"alerts_email_from", func(c *Config, v string) error { c.Alerts.Email.From = v; return nil }},
	{"alerts_email_to", func(c *Config, v string) error { c.Alerts.Email.To = texts(v); return nil }},
	{"shutdown_timeout", func(c *Config, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil {
			return fmt.Errorf("%q is not a duration like 15s", v)
		}
		c.ShutdownTimeout = d
		return nil
	}},
}

// otherVariables begin with SIGPOST_ and belong to commands.
var otherVariables = []string{"SIGPOST_CONFIG", "SIGPOST_SECRET"}

// texts are those in a list that is separated by commas.
func texts(list string) (out []string) {
	for text := range strings.SplitSeq(list, ",") {
		if text = strings.TrimSpace(text); text != "" {
			out = append(out, text)
		}
	}
	return out
}

func networks(list string) ([]Network, error) {
	var out []Network
	for _, text := range texts(list) {
		var n Network
		if err := n.UnmarshalText([]byte(text)); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// Load reads and checks a configuration. Its error is strictyaml.Faults with
// everything that is wrong.
func Load(o Options) (*Config, error) {
	l := &loader{Options: o, cfg: Default(), origin: map[string]string{}, expanded: map[string]bool{}}
	l.cfg.ControlSocket = ""
	l.file()
	l.unreadable = l.faults
	for _, s := range settings {
		variable, flag := "SIGPOST_"+strings.ToUpper(s.name), "--"+strings.ReplaceAll(s.name, "_", "-")
		if v, ok := o.Env(variable); ok {
			l.set(s, variable, v)
		}
		if v, ok := o.Flags[s.name]; ok {
			l.set(s, flag, v)
		}
	}
	l.finish()
	l.check()
	l.unknownVariables()
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
	cfg        *Config
	raw        strictyaml.Raw // the document; zero without a file
	dir        string         // of the file
	faults     strictyaml.Faults
	unreadable strictyaml.Faults // those of values that could not be read at all
	origin     map[string]string // flag or variable by the key that it set
	expanded   map[string]bool   // variables that the file names
	literal    bool              // a secret stands in the file itself
}

// set applies a flag or a variable, which comes before what was there.
func (l *loader) set(s setting, origin, value string) {
	l.origin[s.key()] = origin
	if err := s.set(l.cfg, value); err != nil {
		l.fault(s.key(), "%v", err)
	}
}

// fault notes a fault of a key, wherever its value came from. Of values that
// could not be read one fault is enough.
func (l *loader) fault(at, format string, args ...any) {
	if origin, ok := l.origin[at]; ok {
		l.faults = append(l.faults, strictyaml.Fault{Path: origin, Message: fmt.Sprintf(format, args...)})
		return
	}
	for _, f := range l.unreadable {
		if rest, ok := strings.CutPrefix(at, f.Path); ok && f.Path != "" && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return
		}
	}
	l.faults = append(l.faults, l.raw.Fault(at, format, args...))
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
	l.add("", err)
	l.rebase(given)
	if l.literal {
		l.warnOfReaders("", name)
	}
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

// add notes what the reading of the value at a key gave.
func (l *loader) add(at string, err error) {
	var found strictyaml.Faults
	switch {
	case err == nil:
	case errors.As(err, &found):
		l.faults = append(l.faults, found...)
	default:
		l.fault(at, "%v", err)
	}
}

var (
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	secretKey    = regexp.MustCompile(`\.(token|auth_client|secret|password|secrets\[\d+\])$`)
	// urlWithPassword is that of a mail server.
	urlWithPassword = regexp.MustCompile(`^smtps?://[^/]*:[^/]*@`)
)

// expand puts the environment into one value: ${NAME} for a variable, $$ for $.
// It runs after parsing, so a value with odd characters is still one value.
func (l *loader) expand(at, value string) (string, error) {
	if (secretKey.MatchString(at) || urlWithPassword.MatchString(value)) && !strings.Contains(value, "${") {
		l.literal = true
	}
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
			if !closed || !variableName.MatchString(name) { // the text may be part of a secret
				return "", errors.New("there is a ${ without } or without the name of a variable; write $$ for a dollar sign")
			}
			v, ok := l.Env(name)
			if !ok {
				return "", fmt.Errorf("the environment variable %s is not set; set it, or write $$ for a dollar sign", name)
			}
			l.expanded[name] = true
			b.WriteString(v)
			value = rest
		default:
			return "", errors.New("there is a single dollar sign; write $$ for it, or ${NAME} for a variable")
		}
	}
}

// unknownVariables finds misspelt SIGPOST_… variables: those that neither set
// a key nor stand in the file.
func (l *loader) unknownVariables() {
	known := slices.Clone(otherVariables)
	for _, s := range settings {
		known = append(known, "SIGPOST_"+strings.ToUpper(s.name))
	}
	for _, entry := range l.Environ {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "SIGPOST_") && !slices.Contains(known, name) && !l.expanded[name] {
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
	l.secretFile("database_url", c.DatabaseURLFile, &c.DatabaseURL)
	l.secretFile("jwt_secret", c.JWTSecretFile, &c.JWTSecret)
	l.secretFile("master_key", c.MasterKeyFile, &c.MasterKey)
	l.secretFile("alerts.email.smtp", c.Alerts.Email.SMTPFile, &c.Alerts.Email.SMTP)
	l.secretFile("alerts.email.password", c.Alerts.Email.PasswordFile, &c.Alerts.Email.Password)
	for i := range c.Sources {
		s, at := &c.Sources[i], "sources["+strconv.Itoa(i)+"]"
		l.secretFile(at+".token", s.TokenFile, &s.Token)
		l.secretFile(at+".auth_client", s.AuthClientFile, &s.AuthClient)
		l.secretFile(at+".secret", s.SecretFile, &s.Secret)
		if s.Secret != "" {
			s.Secrets = slices.Insert(s.Secrets, 0, s.Secret)
		}
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
