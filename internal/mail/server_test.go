package mail

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

// postOffice is a small SMTP server on loopback.
type postOffice struct {
	t        *testing.T
	listener net.Listener
	roots    *x509.CertPool

	// starttls and implicit say how TLS begins; neither: there is none.
	starttls, implicit bool
	// mechanisms are those of AUTH; none: everybody may send. clear offers them without TLS.
	mechanisms string
	clear      bool
	// refuse answers a command ("RCPT", "DATA", …) with an error.
	refuse map[string]string

	mu   sync.Mutex
	got  []letter
	said []string // by clients
}

// letter is one mail with its envelope.
type letter struct {
	from string
	to   []string
	data string
	tls  bool
	user string // who authenticated
}

const (
	postUser     = "sigpost"
	postPassword = "pass word/+@%"
)

// serve starts the server and gives the options of a mailer that uses it.
func (p *postOffice) serve(t *testing.T) Options {
	t.Helper()
	p.t = t
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cert := p.certificate()
	if p.implicit {
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}})
	}
	p.listener = l
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
	at := l.Addr().(*net.TCPAddr)
	return Options{Host: at.IP.String(), Port: at.Port, TLS: p.implicit, From: "Alerts <sigpost@example.com>", To: []string{"ops@example.com", "Öffnung <two@example.com>"}, Roots: p.roots, Name: "test"}
}

func (p *postOffice) certificate() tls.Certificate {
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
	p.roots = x509.NewCertPool()
	p.roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// talk holds one conversation.
func (p *postOffice) talk(c net.Conn, cert tls.Certificate) {
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
	secure, letter := p.implicit, letter{}
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
		if answer, no := p.refuse[verb]; no {
			say(answer)
			continue
		}
		switch verb {
		case "EHLO":
			say("250-test")
			if p.starttls && !secure {
				say("250-STARTTLS")
			}
			if p.mechanisms != "" && (secure || p.clear) {
				say("250-AUTH " + p.mechanisms)
			}
			say("250 8BITMIME")
		case "STARTTLS":
			say("220 go on")
			upgraded := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}})
			c, in, secure = upgraded, bufio.NewReader(upgraded), true
		case "AUTH":
			letter.user = p.authenticate(rest, say, read)
		case "MAIL":
			if p.mechanisms != "" && letter.user == "" {
				say("530 authenticate first")
				continue
			}
			letter.from, letter.tls = address(rest), secure
			say("250 ok")
		case "RCPT":
			letter.to = append(letter.to, address(rest))
			say("250 ok")
		case "DATA":
			say("354 go on")
			var data strings.Builder
			for l, err := in.ReadString('\n'); l != ".\r\n"; l, err = in.ReadString('\n') {
				if err != nil {
					return
				}
				data.WriteString(strings.TrimPrefix(l, "."))
			}
			letter.data = data.String()
			p.mu.Lock()
			p.got = append(p.got, letter)
			p.mu.Unlock()
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

// address is what stands between < and > of a MAIL or RCPT command.
func address(rest string) string {
	_, rest, _ = strings.Cut(rest, "<")
	inner, _, _ := strings.Cut(rest, ">")
	return inner
}

func (p *postOffice) authenticate(rest string, say func(string), read func() string) (user string) {
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
	if user != postUser || password != postPassword {
		say("535 5.7.8 bad user or password")
		return ""
	}
	say("235 welcome")
	return user
}

func (p *postOffice) letters() []letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]letter(nil), p.got...)
}
