package config

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/strictyaml"
)

// check finds everything that is wrong by rules other than a value's type.
func (l *loader) check() {
	c := l.cfg
	l.address("listen", c.Listen, true)
	l.address("intake_listen", c.IntakeListen, false)
	if c.Data == "" {
		l.fault("data", "is empty; name a directory, for example %s", DefaultData)
	}
	if u := c.DatabaseURL.Reveal(); u != "" && !strings.HasPrefix(u, "postgres://") && !strings.HasPrefix(u, "postgresql://") {
		l.fault("database_url", "does not begin with postgres://; leave it out to keep everything in a file in the data directory")
	}
	if c.PublicURL != "" {
		l.publicURL(c.PublicURL)
	}
	l.networks()
	if c.EgressProxy != "" {
		if u, err := url.Parse(c.EgressProxy); err != nil || !slices.Contains([]string{"http", "https", "socks5"}, u.Scheme) || u.Host == "" {
			l.fault("egress_proxy", "is not a URL like http://proxy.internal:3128 (http, https or socks5)")
		}
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		l.fault("tls", "has only one of cert and key; give both files, or neither")
	}
	const leastJWTSecret = 32 // bytes: the length of the hash that it keys (RFC 7518, 3.2)
	if n := len(c.JWTSecret); n > 0 && n < leastJWTSecret {
		l.fault("jwt_secret", "has %d characters, and at least %d are needed; `openssl rand -hex 32` makes one", n, leastJWTSecret)
	}
	l.oneOf("signature_headers", c.SignatureHeaders, string(hook.HeadersWebhook), string(hook.HeadersSvix), string(hook.HeadersBoth))
	l.oneOf("database_notify", c.DatabaseNotify, NotifyListen, NotifyPoll)
	l.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	l.oneOf("log.format", c.Log.Format, "text", "json")
	if c.ShutdownTimeout < time.Second || c.ShutdownTimeout > 10*time.Minute {
		l.fault("shutdown_timeout", "%s is not between 1s and 10m", c.ShutdownTimeout)
	}
	if c.IntakeListen != "" && c.IntakeListen == c.Listen {
		l.fault("intake_listen", "%q is the address of listen, which serves everything; choose another, or leave intake_listen out", c.IntakeListen)
	}
	l.alerts()
	for i, raw := range c.Providers {
		l.add("providers["+strconv.Itoa(i)+"]", l.Catalog.Define(raw))
	}
	names, tokens := map[string]int{}, map[string]int{}
	for i := range c.Sources {
		l.source(i, &c.Sources[i], names, tokens)
	}
}

func (l *loader) publicURL(text string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.User != nil: // may hold a password
		l.fault("public_url", "is not a URL without user and password, for example https://hooks.example.com")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "":
		l.fault("public_url", "%q is not an http or https URL without query and fragment, for example https://hooks.example.com", text)
	}
}

func (l *loader) address(at, value string, needed bool) {
	if value == "" {
		if needed {
			l.fault(at, "is empty; name an address, for example %s", defaultListen)
		}
		return
	}
	_, port, err := net.SplitHostPort(value)
	if _, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil {
		l.fault(at, "%q is not an address with a port, for example %s or :8080", value, defaultListen)
	}
}

func (l *loader) oneOf(at, value string, allowed ...string) {
	if slices.Contains(allowed, value) {
		return
	}
	hint := strictyaml.DidYouMean(value, allowed)
	if hint != "" {
		hint = "; " + hint
	}
	l.fault(at, "%q is not one of %s%s", value, strings.Join(allowed, ", "), hint)
}

var (
	sourceName = regexp.MustCompile(`^[a-zA-Z0-9\-_.]{1,60}$`)
	tokenText  = regexp.MustCompile(`^[a-zA-Z0-9\-_.~]{1,200}$`)
)

// leastToken is how many characters a token must have that is all that protects
// a source: 22 of base62 hold 128 bits.
const leastToken = 22

func (l *loader) source(i int, s *Source, names, tokens map[string]int) {
	at := "sources[" + strconv.Itoa(i) + "]"
	first, taken := names[s.Name]
	switch {
	case s.Name == "":
		l.fault(at+".name", "is missing; give the source a name of letters, digits, - _ and .")
	case !sourceName.MatchString(s.Name) || dots(s.Name):
		l.fault(at+".name", "%q is not a name of 1 to 60 letters, digits, - _ and .", s.Name)
	case taken:
		l.fault(at+".name", "%q is the name of sources[%d] already; choose another", s.Name, first)
	}
	names[s.Name] = i
	if s.OnBadSignature == "" {
		s.OnBadSignature = "reject"
	}
	if s.OnDuplicate == "" {
		s.OnDuplicate = "drop"
	}
	l.oneOf(at+".on_bad_signature", s.OnBadSignature, "reject", "quarantine")
	l.oneOf(at+".on_duplicate", s.OnDuplicate, "drop", "forward")
	if s.MaxBody < 1 || s.MaxBody > limitMaxBody {
		l.fault(at+".max_body", "%s is not between 1 byte and %s", s.MaxBody, Size(limitMaxBody))
	}
	l.provider(at, s)
	l.token(at, i, s, tokens)
	l.forwardHeaders(at, s.ForwardHeaders)
	if len(s.Endpoints) > limitEndpoints {
		l.fault(at+".endpoints", "%d are too many; a source takes at most %d", len(s.Endpoints), limitEndpoints)
	}
	endpoints := map[string]int{}
	for j := range s.Endpoints {
		l.endpoint(fmt.Sprintf("%s.endpoints[%d]", at, j), j, &s.Endpoints[j], endpoints)
		l.order(fmt.Sprintf("%s.endpoints[%d]", at, j), &s.Endpoints[j], s.Provider)
	}
}

// dots says whether a name is one that paths of URLs do not keep.
func dots(name string) bool { return name == "." || name == ".." }

// token checks the last part of the source's URL: its token, or else its name.
func (l *loader) token(at string, i int, s *Source, tokens map[string]int) {
	token := s.Token.Reveal()
	if token != "" && (!tokenText.MatchString(token) || dots(token)) {
		l.fault(at+".token", "has characters that a URL would change, or more than 200; use letters, digits, - _ . ~")
	}
	if token == "" {
		if facts, err := l.Catalog.Facts(s.Provider); err != nil || !facts.Signed {
			return // a random one is made
		}
		token = s.Name
	}
	first, taken := tokens[token]
	if taken && l.cfg.Sources[first].Name != s.Name { // double names have their own fault
		l.fault(at+".token", "sources[%d] has the same URL; give each source a token of its own", first)
	}
	tokens[token] = i
}

// provider checks what depends on the source's provider.
func (l *loader) provider(at string, s *Source) {
	if s.Provider == "" {
		l.fault(at+".provider", "is missing; `sigpost providers` lists those there are")
		return
	}
	facts, err := l.Catalog.Facts(s.Provider)
	if err != nil {
		l.fault(at+".provider", "%v", err)
		return
	}
	switch {
	case facts.Signed && len(s.Secrets) == 0 && s.SecretFile == "" && s.SecretsFile == "": // a file has its own fault
		l.fault(at+".secrets", "is empty, but %s signs its webhooks; put the secret there that %s has", s.Provider, s.Provider)
	case !facts.Signed && len(s.Secrets) > 0:
		l.fault(at+".secrets", "%s does not sign, so there is nothing to verify; leave secrets out", s.Provider)
		return
	case !facts.Signed && s.Token != "" && len(s.Token.Reveal()) < leastToken:
		l.fault(at+".token", "is all that protects a source whose provider does not sign, so it needs at least %d random characters; leave it out and one is made", leastToken)
	}
	for j, secret := range s.Secrets {
		key := secretAt(at, j, s.Secret != "")
		if secret == "" {
			l.fault(key, "is empty")
			continue
		}
		for _, problem := range facts.CheckSecret(secret.Reveal()) {
			l.fault(key, "%s; `sigpost secret generate --provider %s` makes a good one", problem, s.Provider)
		}
	}
	if s.AuthClient != "" && !facts.AuthClient {
		l.fault(at+".auth_client", "%s sends no client key; leave auth_client out", s.Provider)
	}
	if s.FlowID != "" && !facts.FlowID {
		l.fault(at+".flow_id", "events of %s have no flow id; leave flow_id out", s.Provider)
	}
	if s.ProviderIPs && !facts.HasAddresses {
		l.fault(at+".provider_ips", "%s publishes no addresses; list them in allow_ips if you know them", s.Provider)
	}
}
