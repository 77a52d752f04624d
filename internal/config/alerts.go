package config

import (
	"fmt"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/strictyaml"
)

// Alerts says what is worth an alert, and who gets alerts by e-mail.
type Alerts struct {
	Verification Verification `yaml:"verification"`
	// Silence is the shortest silence of a source that is told of when it is longer
	// than usual; 0 tells of none.
	Silence time.Duration `yaml:"silence"`
	Email   Email         `yaml:"email"`
}

// Verification says how many of a source's requests may fail to verify: at least
// Failures of them, and more than Percent of all within Window, are told of.
// Failures 0 tells of none.
type Verification struct {
	Failures int           `yaml:"failures"`
	Percent  int           `yaml:"percent"`
	Window   time.Duration `yaml:"window"`
}

// Email says how mails go out; without SMTP there are none.
type Email struct {
	// SMTP is smtp://user:password@host:587 (STARTTLS) or smtps://…:465.
	SMTP     hook.Secret `yaml:"smtp"`
	SMTPFile string      `yaml:"smtp_file"`
	// Password may stand here instead of in the URL, where some characters would
	// have to be escaped.
	Password     hook.Secret `yaml:"password"`
	PasswordFile string      `yaml:"password_file"`
	From         string      `yaml:"from"`
	To           []string    `yaml:"to"`
	// Kinds are those that are mailed; empty means all that are more than information.
	Kinds []string `yaml:"kinds"`
	// MinInterval is the shortest time between two mails.
	MinInterval time.Duration `yaml:"min_interval"`
}

// MailServer is what the URL of an SMTP server says.
type MailServer struct {
	Host     string
	Port     int
	TLS      bool // from the beginning
	User     string
	Password hook.Secret
}

const (
	defaultFailures = 10
	defaultPercent  = 20
	defaultWindow   = 10 * time.Minute
	// leastSilence is also the default: shorter silences happen by themselves.
	leastSilence       = 15 * time.Minute
	defaultMinInterval = 5 * time.Minute
)

func defaultAlerts() Alerts {
	return Alerts{
		Verification: Verification{defaultFailures, defaultPercent, defaultWindow}, Silence: leastSilence, Email: Email{MinInterval: defaultMinInterval},
	}
}

// Server takes the URL apart. The error never shows it, for it may hold a password.
func (e *Email) Server() (s MailServer, err error) {
	u, err := url.Parse(e.SMTP.Reveal())
	if err != nil || u.Hostname() == "" || u.Opaque != "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return s, fmt.Errorf("is not a URL like smtp://user:password@mail.example.com:587; write special characters of the password as %%40, or give it in password")
	}
	s = MailServer{Host: u.Hostname(), User: u.User.Username(), Password: e.Password}
	switch u.Scheme {
	case "smtp":
		s.Port = 587
	case "smtps":
		s.Port, s.TLS = 465, true
	default:
		return s, fmt.Errorf("begins with %.20q; write smtp:// (STARTTLS) or smtps:// (TLS from the beginning)", u.Scheme+":")
	}
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return s, fmt.Errorf("has the port %.20q; a port is between 1 and 65535", port)
		}
		s.Port = int(n)
	}
	password, there := u.User.Password()
	switch {
	case there && e.Password != "":
		return s, fmt.Errorf("has a password, and password is another; give one of them")
	case there:
		s.Password = hook.Secret(password)
	}
	switch {
	case s.User == "" && s.Password != "":
		return s, fmt.Errorf("has no user for the password; write smtp://user@host")
	case s.User != "" && s.Password == "":
		return s, fmt.Errorf("has a user but no password; give it in the URL, in password or in password_file")
	}
	return s, nil
}

func (l *loader) alerts() {
	a := &l.cfg.Alerts
	v := &a.Verification
	if v.Failures < 0 {
		l.fault("alerts.verification.failures", "%d is not a number from 0, which tells of none, up", v.Failures)
	}
	if v.Percent < 0 || v.Percent > 99 {
		l.fault("alerts.verification.percent", "%d is not between 0 and 99", v.Percent)
	}
	if v.Window < time.Minute || v.Window > 24*time.Hour {
		l.fault("alerts.verification.window", "%s is not between 1m and 24h", v.Window)
	}
	if a.Silence != 0 && (a.Silence < leastSilence || a.Silence > 30*24*time.Hour) {
		l.fault("alerts.silence", "%s is not between %s and 720h; 0s tells of no silence", a.Silence, leastSilence)
	}
	l.email(&a.Email)
}

func (l *loader) email(e *Email) {
	const at = "alerts.email"
	for i, kind := range e.Kinds {
		if known := alertKinds(); !slices.Contains(known, kind) {
			hint := strictyaml.DidYouMean(kind, known)
			if hint == "" {
				hint = "the kinds are " + strings.Join(known, ", ")
			}
			l.fault(fmt.Sprintf("%s.kinds[%d]", at, i), "there is no alert %.60q; %s", kind, hint)
		}
	}
	if e.MinInterval < time.Minute || e.MinInterval > 24*time.Hour {
		l.fault(at+".min_interval", "%s is not between 1m and 24h", e.MinInterval)
	}
	if e.SMTP == "" {
		if e.From != "" || len(e.To) > 0 || len(e.Kinds) > 0 || e.Password != "" {
			l.fault(at+".smtp", "is missing; which server sends the mails? For example smtp://user:password@mail.example.com:587")
		}
		return
	}
	if _, err := e.Server(); err != nil {
		l.fault(at+".smtp", "%v", err)
	}
	l.mailAddress(at+".from", e.From)
	if len(e.To) == 0 {
		l.fault(at+".to", "is empty; who gets the mails?")
	}
	for i, to := range e.To {
		l.mailAddress(fmt.Sprintf("%s.to[%d]", at, i), to)
	}
}

func (l *loader) mailAddress(at, text string) {
	if _, err := mail.ParseAddress(text); err != nil || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' }) {
		l.fault(at, "%.100q is not an e-mail address like ops@example.com", text)
	}
}

func alertKinds() []string {
	kinds := hook.AlertKinds()
	list := make([]string, len(kinds))
	for i, k := range kinds {
		list[i] = string(k)
	}
	return list
}
