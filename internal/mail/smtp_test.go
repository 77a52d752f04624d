package mail

import (
	"context"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/mail/mailtest"
)

var quiet = slog.New(slog.DiscardHandler)

var gone = hook.Alert{
	Kind: hook.AlertEndpointDisabled, Severity: hook.Critical, About: "ep_1", At: time.Date(2026, 11, 23, 18, 57, 52, 0, time.UTC),
	Title: "Endpoint https://acme.example/hook of application acme was disabled", Why: "it answered 410 Gone", Next: "What comes for it is held.", Look: "sigpost endpoint list --app app_1",
}

// served starts a server and gives the options of a mailer that uses it.
func served(t *testing.T, office *mailtest.PostOffice) Options {
	t.Helper()
	at := office.Serve(t)
	return Options{
		Host: at.IP.String(), Port: at.Port, TLS: office.Implicit, From: "Alerts <sigpost@example.com>", To: []string{"ops@example.com", "Öffnung <two@example.com>"},
		Roots: office.Roots, Name: "test",
	}
}

func mailer(t *testing.T, o Options) *Mailer {
	t.Helper()
	o.Log = quiet
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMailsGoOutOverEveryKindOfConnection(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		office  *mailtest.PostOffice
		auth    bool
		distant bool // the server is taken for one on another machine
		wantTLS bool
	}{
		"in clear, on this machine":               {office: &mailtest.PostOffice{}},
		"in clear, with PLAIN, on this machine":   {office: &mailtest.PostOffice{Mechanisms: "PLAIN", Clear: true}, auth: true},
		"STARTTLS where it is offered":            {office: &mailtest.PostOffice{StartTLS: true}, wantTLS: true},
		"STARTTLS at a distance":                  {office: &mailtest.PostOffice{StartTLS: true}, distant: true, wantTLS: true},
		"STARTTLS with PLAIN at a distance":       {office: &mailtest.PostOffice{StartTLS: true, Mechanisms: "PLAIN LOGIN"}, auth: true, distant: true, wantTLS: true},
		"STARTTLS with LOGIN at a distance":       {office: &mailtest.PostOffice{StartTLS: true, Mechanisms: "LOGIN"}, auth: true, distant: true, wantTLS: true},
		"TLS from the beginning":                  {office: &mailtest.PostOffice{Implicit: true}, distant: true, wantTLS: true},
		"TLS from the beginning with PLAIN":       {office: &mailtest.PostOffice{Implicit: true, Mechanisms: "PLAIN"}, auth: true, distant: true, wantTLS: true},
		"TLS from the beginning, on this machine": {office: &mailtest.PostOffice{Implicit: true, Mechanisms: "LOGIN"}, auth: true, wantTLS: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			office := c.office
			o := served(t, office)
			want := ""
			if c.auth {
				o.User, o.Password, want = mailtest.User, mailtest.Password, mailtest.User
			}
			m := mailer(t, o)
			m.local = !c.distant
			if err := m.Try(t.Context(), gone); err != nil {
				t.Fatal(err)
			}
			got := office.Letters()
			if len(got) != 1 || got[0].TLS != c.wantTLS || got[0].User != want || got[0].From != "sigpost@example.com" || strings.Join(got[0].To, " ") != "ops@example.com two@example.com" {
				t.Errorf("the server got %+v", got)
			}
		})
	}
}

func TestMailsThatCannotGoOutSafelyDoNot(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		office  *mailtest.PostOffice
		auth    bool
		local   bool
		change  func(*Options)
		says    string
		nothing string // no client may say this
	}{
		"no STARTTLS at a distance":             {&mailtest.PostOffice{Mechanisms: "PLAIN", Clear: true}, true, false, nil, "STARTTLS", "AUTH"},
		"a certificate of somebody else":        {&mailtest.PostOffice{StartTLS: true, Mechanisms: "PLAIN"}, true, false, func(o *Options) { o.Roots = nil }, "certificate", "AUTH"},
		"the same, with TLS from the beginning": {&mailtest.PostOffice{Implicit: true}, false, false, func(o *Options) { o.Roots = nil }, "certificate", "EHLO"},
		"a wrong password":                      {&mailtest.PostOffice{StartTLS: true, Mechanisms: "PLAIN"}, true, false, func(o *Options) { o.Password = "a wrong one" }, "535", "MAIL"},
		"no AUTH where a user is given":         {&mailtest.PostOffice{StartTLS: true}, true, false, nil, "AUTH", "MAIL"},
		"a recipient that is refused":           {&mailtest.PostOffice{Refuse: map[string]string{"RCPT": "550 no such user"}}, false, true, nil, `550 "no such user"`, ""},
		"a mail that is refused":                {&mailtest.PostOffice{Refuse: map[string]string{"DATA": "554 spam"}}, false, true, nil, `554 "spam"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			office := c.office
			o := served(t, office)
			if c.auth {
				o.User, o.Password = mailtest.User, mailtest.Password
			}
			if c.change != nil {
				c.change(&o)
			}
			m := mailer(t, o)
			m.local = c.local
			err := m.Try(t.Context(), gone)
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "pass word") || strings.Contains(err.Error(), "a wrong one") {
				t.Errorf("the error is %v", err)
			}
			if got := office.Letters(); len(got) != 0 {
				t.Errorf("the server got %+v", got)
			}
			for _, line := range office.Said() {
				if c.nothing != "" && strings.HasPrefix(line, c.nothing) {
					t.Errorf("a client said %q", line)
				}
			}
		})
	}
}

func TestAServerThatSaysNothingIsLeft(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m := mailer(t, Options{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, From: "a@example.com", To: []string{"b@example.com"}})
	ctx, cancel := context.WithCancel(t.Context())
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			accepted <- c
			cancel()
		}
	}()
	if err := m.Try(ctx, gone); err == nil {
		t.Error("it was sent")
	}
	c := <-accepted
	defer c.Close()
	if _, err := io.Copy(io.Discard, c); err != nil { // ends when the other side has hung up
		t.Log(err)
	}
}

// open reads a mail as its reader's program does.
func open(t *testing.T, data string) (h mail.Header, subject, body string) {
	t.Helper()
	msg, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
	subject, err = new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	return msg.Header, subject, decoded(t, msg)
}

func TestAMailSaysWhatItIs(t *testing.T) {
	t.Parallel()
	var office mailtest.PostOffice
	m := mailer(t, served(t, &office))
	x := gone
	x.Since = time.Date(2026, 11, 20, 6, 0, 0, 0, time.UTC)
	if err := m.Try(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	h, subject, body := open(t, office.Letters()[0].Data)
	if subject != "[Sigpost] Endpoint https://acme.example/hook of application acme was disabled" {
		t.Errorf("subject %q", subject)
	}
	want := `Endpoint https://acme.example/hook of application acme was disabled

  When:   2026-11-23 18:57 UTC
  Since:  2026-11-20 06:00 UTC
  Why:    it answered 410 Gone
  Next:   What comes for it is held.
  Look:   sigpost endpoint list --app app_1
  Alert:  endpoint.disabled (critical), about ep_1


-- 
Sent by Sigpost on test. alerts.email in its configuration says what is mailed and to whom.
`
	if body != want {
		t.Errorf("body\n%s\nwant\n%s", body, want)
	}
	if at, err := h.Date(); err != nil || time.Since(at) > time.Minute {
		t.Errorf("date %v, %v", at, err)
	}
	to, err := h.AddressList("To")
	if err != nil || len(to) != 2 || to[1].Name != "Öffnung" || h.Get("From") != `"Alerts" <sigpost@example.com>` || h.Get("Auto-Submitted") != "auto-generated" || h.Get("Message-Id") == "" || !strings.HasPrefix(h.Get("Content-Type"), "text/plain") {
		t.Errorf("headers %v, %v", h, err)
	}
}

// Names come from customers; none may make a header, a recipient or a line of its own.
func TestNamesMakeNoHeadersAndNoLines(t *testing.T) {
	t.Parallel()
	var office mailtest.PostOffice
	m := mailer(t, served(t, &office))
	const evil = "x\r\nBcc: victim@example.com\r\n\r\nbody\r\n.\r\nMAIL FROM:<evil@example.com>\u2028y\x00z\x1b[31m"
	x := gone
	x.Title, x.Why, x.Next, x.Look, x.About, x.Kind = evil, evil, evil, evil, evil, hook.AlertKind(evil)
	if err := m.Try(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	got := office.Letters()
	if len(got) != 1 || strings.Join(got[0].To, " ") != "ops@example.com two@example.com" {
		t.Fatalf("the server got %+v", got)
	}
	h, subject, body := open(t, got[0].Data)
	if h.Get("Bcc") != "" || len(h) != 9 || strings.ContainsAny(subject, "\r\n\x00\x1b\u2028") {
		t.Errorf("subject %q, %d headers: %v", subject, len(h), h)
	}
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "Bcc") || strings.HasPrefix(line, "MAIL") || strings.HasPrefix(line, "body") {
			t.Errorf("a line of its own: %q", line)
		}
	}
	if strings.ContainsAny(body, "\x00\x1b\u2028") {
		t.Errorf("the body has control characters: %q", body)
	}
}

func TestBadAddressesAreRefused(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{
		{From: "nobody", To: []string{"a@example.com"}},
		{From: "a@example.com\r\nBcc: b@example.com", To: []string{"a@example.com"}},
		{From: "a@example.com", To: []string{"b@example.com", "c@example.com\r\nBcc: d@example.com"}},
	} {
		if _, err := New(o); hook.CodeOf(err) != hook.CodeInvalid {
			t.Errorf("%q to %q: %v", o.From, o.To, err)
		}
	}
}
