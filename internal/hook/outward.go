package hook

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// LongestURL bounds the URL of an endpoint, in bytes.
const LongestURL = 2048

// CheckURL says whether an endpoint may have this URL, by its form. Whether its
// address may be dialled is decided whenever it is. The error is one sentence
// that can follow the name of the field.
func CheckURL(text string) (*url.URL, error) {
	if len(text) > LongestURL {
		return nil, Errorf(CodeInvalid, "is longer than %d characters", LongestURL)
	}
	u, err := url.Parse(text)
	switch {
	case text == "":
		return nil, Errorf(CodeInvalid, "is missing; where are the webhooks to be sent to?")
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return nil, Errorf(CodeInvalid, "is not a URL with a host, like https://app.example.com/hook")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, Errorf(CodeInvalid, "begins with %q; an endpoint is http or https", clip(u.Scheme)+":")
	case u.User != nil:
		return nil, Errorf(CodeInvalid, "has a user name or password in it; put credentials into headers instead")
	case u.Fragment != "":
		return nil, Errorf(CodeInvalid, "has a fragment (#…), which is never sent; leave it out")
	case strings.ContainsFunc(u.Host, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return nil, Errorf(CodeInvalid, "has white space in its host")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, Errorf(CodeInvalid, "has the port %q; a port is between 1 and 65535", clip(port))
		}
	}
	return u, nil
}

// ownHeaders are set by Sigpost or belong to one connection.
func ownHeaders() []string {
	return []string{
		"connection", "content-length", "content-type", "content-encoding", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "user-agent",
	}
}

// CheckHeader says whether a header may be added to the requests of an endpoint.
func CheckHeader(name, value string) error {
	lower := strings.ToLower(name)
	own := slices.Contains(ownHeaders(), lower)
	for _, prefix := range []string{"webhook-", "svix-", "sigpost-", "proxy-"} {
		own = own || strings.HasPrefix(lower, prefix)
	}
	switch {
	case name == "" || len(name) > 256 || strings.ContainsFunc(name, func(r rune) bool { return !tokenRune(r) }):
		return Errorf(CodeInvalid, "%q is not a valid header name", clip(name))
	case own:
		return Errorf(CodeInvalid, "%s is set by sigpost or by the connection; choose another name", name)
	case len(value) > 4096:
		return Errorf(CodeInvalid, "the value of %s is longer than 4096 bytes", name)
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return Errorf(CodeInvalid, "the value of %s has characters that a header cannot carry, such as a line break", name)
	}
	return nil
}

// tokenRune says whether a rune may stand in a header's name (RFC 9110, 5.6.2).
func tokenRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r > ' ' && r < 0x7f && strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// SensitiveHeader says whether the value of a header is likely to be a
// credential, which is never shown.
func SensitiveHeader(name string) bool {
	lower := strings.ToLower(name)
	for _, part := range []string{"auth", "token", "secret", "key", "password", "cookie", "credential", "signature"} {
		if strings.Contains(lower, part) {
			return true
		}
	}
	return false
}
