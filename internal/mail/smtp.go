package mail

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	smtp "github.com/wneessen/go-mail"
)

const (
	// sendTimeout bounds one mail, from the connection to the last answer, and
	// answerTimeout each answer.
	sendTimeout   = 30 * time.Second
	answerTimeout = 15 * time.Second
)

// send sends one mail to all who get it. The error never has the password.
func (m *Mailer) send(ctx context.Context, subject, body string) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	msg, err := m.message(subject, body)
	if err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	line, err := m.dial(ctx)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", m.address(), err)
	}
	defer line.Close()
	defer context.AfterFunc(ctx, func() { line.Close() })() // the library bounds each answer, not the whole
	client, err := smtp.NewClient(m.o.Host, m.options(line)...)
	if err != nil {
		return fmt.Errorf("set up mail: %w", err)
	}
	talk, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return fmt.Errorf("talk to %s: %w", m.address(), err)
	}
	if err := client.SendWithSMTPClient(talk, msg); err != nil {
		return fmt.Errorf("send through %s: %w", m.address(), err)
	}
	_ = client.CloseWithSMTPClient(talk) // the mail was taken, whatever is said to QUIT
	return nil
}

func (m *Mailer) address() string { return net.JoinHostPort(m.o.Host, strconv.Itoa(m.o.Port)) }

// local says whether a server is on this machine: what is said to it passes no
// network, so it need not be encrypted.
func local(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

func (m *Mailer) tlsConfig() *tls.Config {
	return &tls.Config{ServerName: m.o.Host, RootCAs: m.o.Roots, MinVersion: tls.VersionTLS12}
}

func (m *Mailer) dial(ctx context.Context) (net.Conn, error) {
	plain := net.Dialer{Timeout: answerTimeout}
	if m.o.TLS {
		d := tls.Dialer{NetDialer: &plain, Config: m.tlsConfig()}
		return d.DialContext(ctx, "tcp", m.address())
	}
	return plain.DialContext(ctx, "tcp", m.address())
}

// options of one conversation over a connection.
func (m *Mailer) options(line net.Conn) []smtp.Option {
	policy, config := smtp.TLSMandatory, m.tlsConfig()
	switch {
	case m.o.TLS:
		policy = smtp.NoTLS // it is under way already
	case m.local:
		// It may have a certificate for another name, and need not have one at all.
		policy, config.InsecureSkipVerify = smtp.TLSOpportunistic, true
	}
	list := []smtp.Option{
		smtp.WithPort(m.o.Port), smtp.WithTimeout(answerTimeout), smtp.WithTLSPolicy(policy), smtp.WithTLSConfig(config),
		smtp.WithDialContextFunc(func(context.Context, string, string) (net.Conn, error) { return line, nil }),
	}
	if m.o.User != "" {
		list = append(list, smtp.WithUsername(m.o.User), smtp.WithPassword(m.o.Password.Reveal()),
			smtp.WithOpportunisticSMTPAuth(smtp.SMTPAuthSCRAMSHA256, smtp.SMTPAuthPlain, smtp.SMTPAuthLogin))
	}
	return list
}

func (m *Mailer) message(subject, body string) (*smtp.Msg, error) {
	msg := smtp.NewMsg(smtp.WithNoDefaultUserAgent())
	if err := msg.From(m.from.String()); err != nil {
		return nil, err
	}
	for _, a := range m.to {
		if err := msg.AddTo(a.String()); err != nil {
			return nil, err
		}
	}
	msg.Subject(subject)
	msg.SetDate()
	msg.SetMessageID()
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: nobody is on holiday for this
	msg.SetBodyString(smtp.TypeTextPlain, body)
	return msg, nil
}
