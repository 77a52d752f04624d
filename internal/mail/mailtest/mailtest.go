// Package mailtest is a small SMTP server on loopback, for tests.
package mailtest

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// PostOffice is a small SMTP server on loopback.
type PostOffice struct {
	t testing.TB
	// Roots has its certificate, once it serves.
	Roots *x509.CertPool

	// StartTLS and Implicit say how TLS begins; neither: there is none.
	StartTLS, Implicit bool
	// Mechanisms are those of AUTH; none: everybody may send. Clear offers them without TLS.
	Mechanisms string
	Clear      bool
	// Refuse answers a command ("RCPT", "DATA", …) with an error.
	Refuse map[string]string

	mu   sync.Mutex
	got  []Letter
	said []string // by clients
}

// Letter is one mail with its envelope.
type Letter struct {
	From string
	To   []string
	Data string
	TLS  bool
	User string // who authenticated
}

// Who may send, where a server asks.
const (
	User     = "sigpost"
	Password = "pass word/+@%"
)

// Serve starts the server, which ends with the test, and says where it is.
func (p *PostOffice) Serve(t testing.TB) *net.TCPAddr {
	t.Helper()
	p.t = t
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at, cert := l.Addr().(*net.TCPAddr), p.certificate()
	if p.Implicit {
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}})
	}
	var all sync.WaitGroup
	t.Cleanup(func() { l.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { p.talk(c, cert) })
		}
	})
	return at
}

func (p *PostOffice) certificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		p.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		p.t.Fatal(err)
	}
	p.Roots = x509.NewCertPool()
	p.Roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// talk holds one conversation.
func (p *PostOffice) talk(c net.Conn, cert tls.Certificate) {
	defer c.Close()
	in := bufio.NewReader(c)
	say := func(line string) { fmt.Fprintf(c, "%s\r\n", line) }
	read := func() string {
		line, err := in.ReadString('\n')
		if err != nil {
			return ""
		}
		return strings.TrimRight(line, "\r\n")
	}
	secure, letter := p.Implicit, Letter{}
	say("220 test ESMTP")
	for {
		line := read()
		if line == "" {
			return
		}
		p.mu.Lock()
		p.said = append(p.said, line)
		p.mu.Unlock()
		verb, rest, _ := strings.Cut(line, " ")
		verb = strings.ToUpper(verb)
		if answer, no := p.Refuse[verb]; no {
			say(answer)
			continue
		}
		switch verb {
		case "EHLO":
			say("250-test")
			if p.StartTLS && !secure {
				say("250-STARTTLS")
			}
			if p.Mechanisms != "" && (secure || p.Clear) {
				say("250-AUTH " + p.Mechanisms)
			}
			say("250 8BITMIME")
		case "STARTTLS":
			say("220 go on")
			upgraded := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}})
			c, in, secure = upgraded, bufio.NewReader(upgraded), true
		case "AUTH":
			letter.User = p.authenticate(rest, say, read)
		case "MAIL":
			if p.Mechanisms != "" && letter.User == "" {
				say("530 authenticate first")
				continue
			}
			letter.From, letter.TLS = address(rest), secure
			say("250 ok")
		case "RCPT":
			letter.To = append(letter.To, address(rest))
			say("250 ok")
		case "DATA":
			say("354 go on")
			if !p.take(in, letter) {
				return
			}
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

// take reads the text of a mail and keeps it; false when the client has gone.
func (p *PostOffice) take(in *bufio.Reader, l Letter) bool {
	var data strings.Builder
	for line, err := in.ReadString('\n'); line != ".\r\n"; line, err = in.ReadString('\n') {
		if err != nil {
			return false
		}
		data.WriteString(strings.TrimPrefix(line, "."))
	}
	l.Data = data.String()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, l)
	return true
}

// address is what stands between < and > of a MAIL or RCPT command.
func address(rest string) string {
	_, rest, _ = strings.Cut(rest, "<")
	inner, _, _ := strings.Cut(rest, ">")
	return inner
}

func (p *PostOffice) authenticate(rest string, say func(string), read func() string) (user string) {
	decode := func(text string) string {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return "?"
		}
		return string(raw)
	}
	mechanism, first, _ := strings.Cut(rest, " ")
	var password string
	switch mechanism {
	case "PLAIN":
		parts := strings.Split(decode(first), "\x00")
		if len(parts) == 3 {
			user, password = parts[1], parts[2]
		}
	case "LOGIN":
		say("334 " + base64.StdEncoding.EncodeToString([]byte("Username:")))
		user = decode(read())
		say("334 " + base64.StdEncoding.EncodeToString([]byte("Password:")))
		password = decode(read())
	}
	if user != User || password != Password {
		say("535 5.7.8 bad user or password")
		return ""
	}
	say("235 welcome")
	return user
}

// Letters are those that were taken.
func (p *PostOffice) Letters() []Letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Letter(nil), p.got...)
}

// Said are the lines that clients sent, but for the mails.
func (p *PostOffice) Said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.said...)
}
