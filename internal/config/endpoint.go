package config

import (
	"encoding/base64"
	"fmt"
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
	l.eventTypes(at, e.EventTypes)
	if e.Timeout != 0 && (e.Timeout < time.Second || e.Timeout > time.Minute) {
		l.fault(at+".timeout", "%s is not between 1s and 1m", e.Timeout)
	}
	if e.Concurrency < 0 || e.Concurrency > 1000 {
		l.fault(at+".concurrency", "%d is not between 1 and 1000", e.Concurrency)
	}
	if e.Throttle < 0 || e.Throttle > 65535 {
		l.fault(at+".throttle", "%d is not between 1 and 65535 attempts a second", e.Throttle)
	}
	l.retries(at, e.Retries)
	for k, r := range e.RetriesFor {
		at := fmt.Sprintf("%s.retries_for[%d]", at, k)
		if len(r.EventTypes) == 0 || len(r.Retries) == 0 {
			l.fault(at, "needs event_types and retries: which event types are tried again, and after which waits")
		}
		l.eventTypes(at, r.EventTypes)
		l.retries(at, r.Retries)
	}
	l.headers(at+".headers", e.Headers)
	l.endpointSecrets(at, e)
	if e.Policy == "" {
		return
	}
	facts, err := l.Catalog.Facts(e.Policy)
	if err != nil {
		l.fault(at+".policy", "%v", err)
		return
	}
	if !facts.HasSendPolicy {
		l.fault(at+".policy", "it is not known how %s delivers; leave policy out", e.Policy)
	}
	u, err := url.Parse(e.URL)
	if err != nil {
		return // said already
	}
	if facts.HTTPSOnly && u.Scheme == "http" {
		l.fault(at+".url", "%q is not https, and %s posts to https URLs only; use https, or leave policy out", shown(u), e.Policy)
	}
	if standard := map[string]string{"http": "80", "https": "443"}[u.Scheme]; facts.StandardPort && u.Port() != "" && u.Port() != standard {
		l.fault(at+".url", "%q has the port %s, and %s posts to the standard port only; leave the port or policy out", shown(u), u.Port(), e.Policy)
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
			l.fault(secretAt(at, k, e.Secret != ""), "is not whsec_ and 24 to 64 bytes in base64; leave it out and one is made, which `sigpost endpoint secret` shows")
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

// ownHeaders are set by Sigpost or belong to one connection.
var ownHeaders = []string{
	"Connection", "Content-Length", "Content-Type", "Content-Encoding", "Expect", "Host", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "User-Agent",
}

func (l *loader) headers(at string, headers map[string]string) {
	seen := map[string]string{}
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
		case seen[lower] != "":
			l.fault(key, "this is the same header as %s; keep one", seen[lower])
		}
		seen[lower] = name
	}
}

// neverForwarded belong to one connection or to our own URL. A source cannot
// allow them, unlike those that are withheld because they may hold a secret.
var neverForwarded = []string{
	"Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

func (l *loader) forwardHeaders(at string, names []string) {
	for i, name := range names {
		key := fmt.Sprintf("%s.forward_headers[%d]", at, i)
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			l.fault(key, "%.60q is not a valid header name", name)
		case slices.ContainsFunc(neverForwarded, func(never string) bool { return strings.EqualFold(never, name) }),
			strings.HasPrefix(strings.ToLower(name), "proxy-"), strings.HasPrefix(strings.ToLower(name), "sigpost-"):
			l.fault(key, "%q belongs to one connection or to sigpost and is never forwarded; leave it out", name)
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

func (l *loader) eventTypes(at string, patterns []string) {
	for k, p := range patterns {
		if !eventPattern.MatchString(p) {
			l.fault(fmt.Sprintf("%s.event_types[%d]", at, k), "%q is not an event type; use letters, digits, - _ . and * for any characters", p)
		}
	}
}

func (l *loader) retries(at string, waits []time.Duration) {
	for k, wait := range waits {
		if wait < time.Second || wait > hook.RetryWindow {
			l.fault(fmt.Sprintf("%s.retries[%d]", at, k), "%s is not between 1s and 168h", wait)
		}
	}
}
