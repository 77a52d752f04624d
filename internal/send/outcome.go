package send

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"code.dny.dev/ssrf"

	"github.com/sigpost/sigpost/internal/hook"
)

// explain puts the error of an exchange into a class and into words that an
// operator can act on. URLs are left out: they may carry a secret.
func explain(ctx context.Context, err error) (hook.Outcome, string) {
	switch {
	case errors.Is(err, errOwnAddress):
		return hook.OutcomeForbidden, "the address is one of sigpost's own listeners; an endpoint must be another server"
	case errors.Is(err, ssrf.ErrProhibitedIP), errors.Is(err, ssrf.ErrProhibitedPort), errors.Is(err, ssrf.ErrProhibitedNetwork):
		return hook.OutcomeForbidden, "the address " + dialled(err) + " is on a private or reserved network; allow_nets in the configuration opens one"
	case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.Is(err, context.DeadlineExceeded), timedOut(err):
		return hook.OutcomeTimeout, "no complete answer in time"
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		if e.IsNotFound {
			return hook.OutcomeDNS, "the host " + e.Name + " does not exist"
		}
		return hook.OutcomeDNS, "the host " + e.Name + " could not be looked up: " + e.Err
	}
	if reason, ok := tlsFault(err); ok {
		return hook.OutcomeTLS, reason
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return hook.OutcomeConnect, "connection refused: nothing listens at " + dialled(err)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return hook.OutcomeConnect, "the receiver reset the connection"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return hook.OutcomeConnect, "no route to " + dialled(err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return hook.OutcomeProtocol, "the receiver closed the connection before its answer was complete"
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return hook.OutcomeConnect, "could not connect to " + dialled(err)
	}
	return hook.OutcomeProtocol, "the answer is not HTTP as it should be: " + clip(err.Error())
}

func timedOut(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

func tlsFault(err error) (string, bool) {
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the certificate does not verify: " + clip(e.Err.Error()), true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the receiver does not speak TLS on this port; is the URL http instead of https?", true
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the certificate is for another host: " + clip(e.Error()), true
	}
	if e, ok := errors.AsType[tls.AlertError](err); ok {
		return "TLS handshake refused: " + clip(e.Error()), true
	}
	return "", false
}

// dialled is the address of a failed connection.
func dialled(err error) string {
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Addr != nil {
		return e.Addr.String()
	}
	return "the address"
}

func clip(s string) string {
	const most = 200
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// retryAfter reads a Retry-After header, seconds or a date (RFC 9110, 10.2.3);
// zero when there is none that can be read.
func retryAfter(value string, now time.Time) time.Time {
	value = strings.TrimSpace(value)
	if value == "" {
		return time.Time{}
	}
	if n, err := strconv.ParseUint(value, 10, 31); err == nil {
		return now.Add(time.Duration(n) * time.Second)
	}
	if at, err := http.ParseTime(value); err == nil {
		return at
	}
	return time.Time{}
}

// directive reads a webhook-delivery header; what is not known asks for nothing.
func directive(value string) hook.Directive {
	switch d := hook.Directive(strings.ToLower(strings.TrimSpace(value))); d {
	case hook.AbortMessage, hook.DisableEndpoint:
		return d
	}
	return ""
}
