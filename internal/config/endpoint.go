package config

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/strictyaml"
	"github.com/sigpost/sigpost/signature"
)

var (
	endpointName = regexp.MustCompile(`^[a-zA-Z0-9\-_.]{1,60}$`)
	eventPattern = regexp.MustCompile(`^[a-zA-Z0-9\-_.*]{1,256}$`)
)

func (l *loader) endpoint(at string, j int, e *Endpoint, known map[string]int) {
	if e.Name != "" && !endpointName.MatchString(e.Name) {
		l.fault(at+".name", "%q is not a name of 1 to 60 letters, digits, - _ and .", e.Name)
	}
	name := e.Name
	if name == "" {
		name = e.URL
	}
	if first, ok := known[name]; ok && name != "" {
		l.fault(at, "endpoints[%d] of this source is the same; give each a name of its own", first)
	}
	known[name] = j
	l.endpointURL(at+".url", e.URL)
	for k, p := range e.EventTypes {
		if !eventPattern.MatchString(p) {
			l.fault(fmt.Sprintf("%s.event_types[%d]", at, k), "%q is not an event type; use letters, digits, - _ . and * for any characters", p)
		}
	}
	if e.Timeout != 0 && (e.Timeout < time.Second || e.Timeout > time.Minute) {
		l.fault(at+".timeout", "%s is not between 1s and 1m", e.Timeout)
	}
	if e.Concurrency < 0 || e.Concurrency > 1000 {
		l.fault(at+".concurrency", "%d is not between 1 and 1000", e.Concurrency)
	}
	for k, wait := range e.Retries {
		if wait < time.Second || wait > 7*24*time.Hour {
			l.fault(fmt.Sprintf("%s.retries[%d]", at, k), "%s is not between 1s and 168h", wait)
		}
	}
	l.headers(at+".headers", e.Headers)
	l.endpointSecrets(at, e)
	if e.Policy == "" {
		return
	}
	if facts, err := l.Catalog.Facts(e.Policy); err != nil {
		l.fault(at+".policy", "%v", err)
	} else if !facts.HasSendPolicy {
		l.fault(at+".policy", "it is not known how %s delivers; leave policy out", e.Policy)
	}
}

func (l *loader) endpointSecrets(at string, e *Endpoint) {
	if sig := e.Signature; sig != nil {
		if len(e.Secrets) > 0 {
			l.fault(at+".secret", "give the secret in signature, or leave signature out, not both")
		}
		if _, ok := signature.Lookup(sig.Scheme); !ok {
			hint := strictyaml.DidYouMean(sig.Scheme, signature.Names())
			if hint == "" {
				hint = "the schemes are " + strings.Join(signature.Names(), ", ")
			}
			l.fault(at+".signature.scheme", "there is no scheme %q; %s", sig.Scheme, hint)
		}
		if sig.Secret == "" {
			l.fault(at+".signature.secret", "is empty; the receiver verifies with it")
			return
		}
		if facts, err := l.Catalog.Facts(sig.Scheme); err == nil {
			for _, problem := range facts.CheckSecret(sig.Secret.Reveal()) {
				l.fault(at+".signature.secret", "%s", problem)
			}
		}
		return
	}
	for k, secret := range e.Secrets {
		if !goodSecret(secret) {
			key := at + ".secret"
			if e.Secret == "" || k > 0 {
				key = fmt.Sprintf("%s.secrets[%d]", at, k)
			}
			l.fault(key, "is not whsec_ and 24 to 64 bytes in base64; leave it out and one is made, which `sigpost endpoint secret` shows")
		}
	}
}

// goodSecret says whether a secret is one of Standard Webhooks.
func goodSecret(s hook.Secret) bool {
	text, ok := strings.CutPrefix(s.Reveal(), "whsec_")
	raw, err := base64.StdEncoding.DecodeString(text)
	return ok && err == nil && len(raw) >= 24 && len(raw) <= 64
}

// endpointURL is a courtesy: what is really dialled is checked again when it is.
func (l *loader) endpointURL(at, text string) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		l.fault(at, "is missing; where are the webhooks to be forwarded to?")
		return
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		l.fault(at, "is not a URL with a host, like https://app.example.com/hook")
		return
	case u.Scheme != "http" && u.Scheme != "https":
		l.fault(at, "%q begins with %q; an endpoint is http or https", shown(u), u.Scheme+":")
		return
	case u.User != nil:
		l.fault(at, "has a user name or password in it; put credentials into headers instead")
		return
	case u.Fragment != "":
		l.fault(at, "%q has a fragment (#…), which is never sent; leave it out", shown(u))
		return
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			l.fault(at, "%q has the port %q; a port is between 1 and 65535", shown(u), port)
			return
		}
	}
	l.network(at, u.Hostname())
}

// shown is a URL without what may be a secret in it.
func shown(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }

// network refuses addresses that are private and that allow_nets does not open.
func (l *loader) network(at, host string) {
	name := strings.TrimSuffix(strings.ToLower(host), ".")
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		host = "127.0.0.1"
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return // a name: the dialer sees what it resolves to
	}
	addr = addr.Unmap().WithZone("")
	private := addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsUnspecified() || addr.IsMulticast()
	allowed := slices.ContainsFunc(l.cfg.AllowNets, func(n Network) bool { return n.Contains(addr) })
	if private && !allowed {
		l.fault(at, "%s is on a private network, to which nothing is sent unless you allow it; add %q to allow_nets", host, netip.PrefixFrom(addr, addr.BitLen()))
	}
}

// ownHeaders are set by Sigpost or belong to one connection.
var ownHeaders = []string{
	"Connection", "Content-Length", "Content-Type", "Content-Encoding", "Expect", "Host", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "User-Agent",
}

func (l *loader) headers(at string, headers map[string]string) {
	for _, name := range sortedKeys(headers) {
		key := at + "." + name
		lower := strings.ToLower(name)
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			l.fault(at, "%q is not a valid header name", name)
		case slices.ContainsFunc(ownHeaders, func(own string) bool { return strings.EqualFold(own, name) }),
			strings.HasPrefix(lower, "webhook-"), strings.HasPrefix(lower, "svix-"), strings.HasPrefix(lower, "sigpost-"), strings.HasPrefix(lower, "proxy-"):
			l.fault(key, "this header is set by sigpost or by the connection; choose another name")
		case !httpguts.ValidHeaderFieldValue(headers[name]):
			l.fault(key, "its value has characters that a header cannot carry, such as a line break")
		}
	}
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
