package intake

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sigpost/sigpost/internal/hook"
)

// withheld never go on: they belong to one connection, to our own URL, to
// proxies on the way, or they carry a secret in clear. docs/forwarding.md is
// the list for users.
var withheld = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Authorization": true, "Connection": true, "Content-Length": true,
	"Cookie": true, "Expect": true, "Forwarded": true, "Host": true, "Keep-Alive": true, "Set-Cookie": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "Via": true, "X-Real-Ip": true,
	"X-Gitlab-Token": true, "X-Api-Key": true, "X-Auth-Token": true,
}

var withheldPrefixes = []string{"Proxy-", "X-Forwarded-", "Sigpost-"}

// renamed go on under "Sigpost-Original-…", for the forwarded request has its own.
var renamedPrefixes = []string{"Webhook-", "Svix-"}

const (
	originalPrefix = "Sigpost-Original-"
	hopsHeader     = "Sigpost-Hops"
)

// headerRule says which headers of a source's requests are kept and forwarded.
type headerRule struct {
	secret, allow map[string]bool
}

func newHeaderRule(secret, allow []string) headerRule {
	r := headerRule{map[string]bool{}, map[string]bool{}}
	for _, name := range secret {
		r.secret[http.CanonicalHeaderKey(name)] = true
	}
	for _, name := range allow {
		r.allow[http.CanonicalHeaderKey(name)] = true
	}
	return r
}

// keeps says whether a header may be stored at all.
func (r *headerRule) keeps(name string, perConnection []string) bool {
	if r.allow[name] {
		return true
	}
	if withheld[name] || r.secret[name] || slices.Contains(perConnection, name) {
		return false
	}
	for _, p := range withheldPrefixes {
		if strings.HasPrefix(name, p) {
			return name == hopsHeader // counted on, so that a loop ends
		}
	}
	return true
}

// forward is the headers that go on with a message, sorted by name.
func (r *headerRule) forward(h http.Header) []hook.Header {
	kept := r.kept(h)
	for i := range kept {
		if kept[i].Name == "User-Agent" {
			kept[i].Name = originalPrefix + kept[i].Name
		}
		for _, p := range renamedPrefixes {
			if strings.HasPrefix(kept[i].Name, p) {
				kept[i].Name = originalPrefix + kept[i].Name
			}
		}
	}
	return kept
}

// kept is the headers that may be stored, under their own names.
func (r *headerRule) kept(h http.Header) []hook.Header {
	kept := make([]hook.Header, 0, len(h))
	perConnection := connectionHeaders(h)
	for name, values := range h {
		if !r.keeps(name, perConnection) {
			continue
		}
		for _, v := range values {
			kept = append(kept, hook.Header{Name: name, Value: v})
		}
	}
	slices.SortStableFunc(kept, func(a, b hook.Header) int { return strings.Compare(a.Name, b.Name) })
	return kept
}

// connectionHeaders are those that the Connection header names (RFC 9110, 7.6.1).
func connectionHeaders(h http.Header) []string {
	var names []string
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			names = append(names, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	return names
}
