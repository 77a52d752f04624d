package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
)

func TestAlertsAreRead(t *testing.T) {
	t.Parallel()
	// The example, with its comments taken away.
	var text strings.Builder
	for line := range strings.Lines(string(Example())) {
		if in := strings.TrimPrefix(line, "# "); text.Len() > 0 && strings.HasPrefix(in, "  ") || strings.HasPrefix(in, "alerts:") {
			text.WriteString(in)
		} else if text.Len() > 0 {
			break
		}
	}
	c, err := load(t, text.String(), map[string]string{"SMTP_PASSWORD": "p@ss/word"}, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, text.String())
	}
	a := c.Alerts
	if a.Verification != (Verification{10, 20, 10 * time.Minute}) || a.Silence != 15*time.Minute || a.Email.MinInterval != 5*time.Minute || a.Email.From != "Sigpost <sigpost@example.com>" || !slices.Equal(a.Email.To, []string{"ops@example.com"}) || len(a.Email.Kinds) != 2 {
		t.Errorf("%+v", a)
	}
	s, err := a.Email.Server()
	if err != nil || s != (MailServer{Host: "mail.example.com", Port: 587, User: "sigpost", Password: "p@ss/word"}) {
		t.Errorf("%+v, %v", s, err)
	}
	if d := cmp.Diff(Default().Alerts, Alerts{Verification: a.Verification, Silence: a.Silence, Email: Email{MinInterval: a.Email.MinInterval}}); d != "" {
		t.Errorf("the example's figures are not the defaults:\n%s", d)
	}
}

func TestMailServersAreTakenApart(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]MailServer{
		"smtp://mail.example.com":                 {Host: "mail.example.com", Port: 587},
		"smtps://mail.example.com/":               {Host: "mail.example.com", Port: 465, TLS: true},
		"smtp://127.0.0.1:25":                     {Host: "127.0.0.1", Port: 25},
		"smtp://[::1]:2525":                       {Host: "::1", Port: 2525},
		"smtp://user:p%40ss%2Fw%25@host:25":       {Host: "host", Port: 25, User: "user", Password: "p@ss/w%"},
		"smtps://me%40example.com:secret@host:25": {Host: "host", Port: 25, TLS: true, User: "me@example.com", Password: "secret"},
	} {
		e := Email{SMTP: hook.Secret(text)}
		if got, err := e.Server(); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func TestFaultsOfAlertsNameKeyValueAndWayOut(t *testing.T) {
	t.Parallel()
	email := func(keys string) string {
		return "alerts: {email: {smtp: 'smtp://host', from: a@example.com, to: [b@example.com]" + keys + "}}"
	}
	server := func(url string) string {
		return "alerts: {email: {smtp: '" + url + "', from: a@example.com, to: [b@example.com]}}"
	}
	const url = `alerts.email.smtp: `
	for text, want := range map[string]string{
		"alerts: {verification: {failures: -1}}":        `alerts.verification.failures: -1 is not a number from 0, which tells of none, up`,
		"alerts: {verification: {percent: 100}}":        `alerts.verification.percent: 100 is not between 0 and 99`,
		"alerts: {verification: {window: 10s}}":         `alerts.verification.window: 10s is not between 1m and 24h`,
		"alerts: {silence: 5m}":                         `alerts.silence: 5m0s is not between 15m0s and 720h; 0s tells of no silence`,
		"alerts: {email: {to: [b@example.com]}}":        url + `is missing; which server sends the mails?`,
		"alerts: {email: {password: hidden}}":           url + `is missing`,
		email(", kinds: [endpoint.disable]"):            `alerts.email.kinds[0]: there is no alert "endpoint.disable"; did you mean "endpoint.disabled"?`,
		email(", kinds: [everything]"):                  `alerts.email.kinds[0]: there is no alert "everything"; the kinds are endpoint.created, `,
		email(", min_interval: 1s"):                     `alerts.email.min_interval: 1s is not between 1m and 24h`,
		email(", from: 'x'"):                            `alerts.email.from: this key is there twice`,
		strings.Replace(email(""), "[b@", "[b@ ,c@", 1): `alerts.email.to[0]: "b@" is not an e-mail address like ops@example.com`,
		strings.Replace(email(""), "[b@example.com]", `["b@example.com\r\nBcc: c@example.com"]`, 1): `alerts.email.to[0]: "b@example.com\r\nBcc: c@example.com" is not an e-mail address`,
		strings.Replace(email(""), "[b@example.com]", "[]", 1):                                      `alerts.email.to: is empty; who gets the mails?`,
		strings.Replace(email(""), "a@example.com", "nobody", 1):                                    `alerts.email.from: "nobody" is not an e-mail address`,
		server("http://user:hidden@host"):                                                           url + `begins with "http:"; write smtp:// (STARTTLS) or smtps:// (TLS from the beginning)`,
		server("smtp://user:hidden/w@host"):                                                         url + `is not a URL like smtp://user:password@mail.example.com:587`,
		server("smtp://user:hidden@host:0"):                                                         url + `has the port "0"; a port is between 1 and 65535`,
		server("smtp://user@host"):                                                                  url + `has a user but no password`,
		server("smtp://:hidden@host"):                                                               url + `has no user for the password`,
		server("mail.example.com"):                                                                  url + `is not a URL like`,
		strings.Replace(server("smtp://user:hidden@host"), "from:", "password: hidden, from:", 1):   url + `has a password, and password is another; give one of them`,
	} {
		got := faultsOf(t, text, nil, nil)
		if !strings.Contains(got[0], want) || strings.Contains(got[0], "hidden") {
			t.Errorf("%s:\n%s\nwant %s", text, got[0], want)
		}
	}
}

func TestTheEnvironmentSetsMail(t *testing.T) {
	t.Parallel()
	env := map[string]string{"SIGPOST_ALERTS_EMAIL_SMTP": "smtp://u@host", "SIGPOST_ALERTS_EMAIL_PASSWORD": "p", "SIGPOST_ALERTS_EMAIL_FROM": "a@example.com", "SIGPOST_ALERTS_EMAIL_TO": "b@example.com, c@example.com"}
	c, err := load(t, "alerts: {email: {smtp: 'smtp://other'}}", env, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := c.Alerts.Email.Server(); err != nil || s.Host != "host" || s.Password != "p" || len(c.Alerts.Email.To) != 2 {
		t.Errorf("%+v, %v", c.Alerts.Email, err)
	}
	env["SIGPOST_ALERTS_EMAIL_FROM"] = "nobody"
	if got := faultsOf(t, "", env, nil); len(got) != 1 || !strings.HasPrefix(got[0], `SIGPOST_ALERTS_EMAIL_FROM: "nobody" is not an e-mail address`) {
		t.Errorf("faults %q", got)
	}
}

func TestAPasswordInTheFileIsWarnedOfWhenOthersMayReadIt(t *testing.T) {
	t.Parallel()
	for keys, want := range map[string]bool{
		"smtp: 'smtp://u:p@host'":                      true,
		"smtp: 'smtp://u@host', password: p":           true,
		"smtp: 'smtp://u@host', password: \"${PASS}\"": false,
		"smtp: 'smtp://u:${PASS}@host'":                false,
		"smtp: 'smtp://host'":                          false,
	} {
		file := filepath.Join(t.TempDir(), "sigpost.yaml")
		if err := os.WriteFile(file, []byte("alerts: {email: {from: a@example.com, to: [b@example.com], "+keys+"}}"), 0o644); err != nil {
			t.Fatal(err)
		}
		c, err := Load(Options{File: file, Env: lookup(map[string]string{"PASS": "p"}), Catalog: &providers{}})
		if err != nil || len(c.Warnings) > 0 != want {
			t.Errorf("%s: %v, %v", keys, c.Warnings, err)
		}
	}
}
