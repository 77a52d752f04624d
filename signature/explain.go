package signature

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// KnownSecret is a secret that an operator has, with what he calls it.
type KnownSecret struct {
	Value string
	Name  string // for messages, for example "secrets[0]"; empty for its position
	// Previous secrets are not live any more: a match with one is a finding.
	Previous bool
}

// Explanation is why a request does not verify.
type Explanation struct {
	// Valid: it does, and there is nothing to explain.
	Valid bool
	// Findings are what was found, the most telling first. There is at least
	// one unless the request is valid.
	Findings []Finding
}

// Finding is one thing that was found out.
type Finding struct {
	// Code is stable, for machines: see the Code constants.
	Code string `json:"code"`
	// Message says what was found, Fix what to do. Neither holds a secret, nor
	// a signature that would be valid.
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
}

// The codes of findings.
const (
	CodeNoSecret         = "no-secret"
	CodeBadSecret        = "bad-secret" // not a key of the scheme's form
	CodeBadScheme        = "bad-scheme"
	CodeMissingHeader    = "missing-header"
	CodeMalformedHeader  = "malformed-header"
	CodeOtherProvider    = "other-provider"
	CodeClockSkew        = "clock-skew"
	CodePreviousSecret   = "previous-secret"
	CodeSecretWhitespace = "secret-whitespace"
	CodeSecretDecoded    = "secret-decoded" // decoded, or not, against the scheme
	CodeEncoding         = "encoding"
	CodePrefix           = "prefix"
	CodeBodyCompacted    = "body-compacted"
	CodeBodyReindented   = "body-reindented"
	CodeTrailingNewline  = "trailing-newline"
	CodeLineEndings      = "line-endings"
	CodeTruncatedBody    = "truncated-body"
	CodeContentEncoding  = "content-encoding"
	CodeBodyTooLong      = "body-too-long"
	CodeHeaderRenamed    = "header-renamed"
	CodeTruncatedHeader  = "truncated-header"
	CodeBodyEscaped      = "body-escaped"
	CodeNothingFound     = "nothing-found"
)

// Bounds of one explanation.
const (
	explainBody  = 256 << 10                  // longest body that is changed
	explainTries = 200                        // signatures tried
	explainBytes = explainBody * explainTries // of bodies hashed in all
)

// Explain says why a request does not verify, by trying what usually goes
// wrong on the way: another secret, a secret with white space around it or
// decoded in another way, a signature in another encoding, a body that a parser
// wrote again, the header of another provider, a wrong clock. It is for
// operators, on demand: it tries up to 200 signatures over up to 50 MiB in all
// and changes bodies up to 256 KiB. Whoever sent the request must not see what
// it says.
func Explain(s Scheme, r Request, secrets []KnownSecret, now time.Time) Explanation {
	return newExplainer(s, r, secrets, now).run()
}

type explainer struct {
	scheme   Scheme
	request  Request
	secrets  []KnownSecret
	now      time.Time
	tries    int
	hashed   int // bytes
	findings []Finding
}

func newExplainer(s Scheme, r Request, secrets []KnownSecret, now time.Time) *explainer {
	e := &explainer{scheme: s, request: r, now: now}
	for i, k := range secrets {
		if k.Name == "" {
			k.Name = fmt.Sprintf("secret %d", i+1)
		}
		e.secrets = append(e.secrets, k)
	}
	return e
}

func (e *explainer) run() Explanation {
	if err := e.scheme.Validate(); err != nil {
		e.add(CodeBadScheme, err.Error(), "mend the scheme")
		return Explanation{Findings: e.findings}
	}
	if e.plain() {
		return Explanation{Valid: true}
	}
	e.hunt()
	if len(e.findings) == 0 {
		e.add(CodeNothingFound, "the signature belongs to none of the secrets, and to no usual change of body or secret",
			"compare the secret with the one that the provider shows, of the same account and environment (live, test); then look for a proxy or framework in front that changes bodies")
	}
	return Explanation{Findings: e.findings}
}

func (e *explainer) add(code, message, fix string) {
	e.findings = append(e.findings, Finding{code, message, fix})
}

// plain checks the request as it is, and notes what is wrong with its form.
func (e *explainer) plain() (valid bool) {
	var live, names []string
	for _, k := range e.secrets {
		if !k.Previous && !isBlank(k.Value) {
			live, names = append(live, k.Value), append(names, k.Name)
		}
	}
	if len(live) == 0 {
		e.add(CodeNoSecret, "no live secret is known for this source", "configure the secret that the provider shows")
		return false
	}
	_, err := e.scheme.Verify(e.request, e.now, live...)
	switch {
	case err == nil:
		return true
	case errors.Is(err, ErrTimestamp):
		e.skew(err)
	case errors.Is(err, ErrMissingHeader):
		h, _ := errors.AsType[*HeaderError](err)
		e.add(CodeMissingHeader, "the request has no header "+h.Header, "see that the provider signs (a secret is set there), and that no proxy in front drops the header")
	case errors.Is(err, ErrMalformedHeader):
		h, _ := errors.AsType[*HeaderError](err)
		e.add(CodeMalformedHeader, "the header "+h.Header+" is not as it should be: "+h.Reason, "look at the header below: was it cut, or does it come from another sender?")
	case errors.Is(err, ErrBadSecret):
		bad, _ := errors.AsType[*SecretError](err)
		e.add(CodeBadSecret, names[bad.Index]+" is not a key of "+e.scheme.Name+": "+bad.Reason, "enter the secret as the provider shows it")
	}
	return false
}

func (e *explainer) skew(err error) {
	t, ok := errors.AsType[*TimestampError](err)
	if !ok {
		return
	}
	size, fix := t.size(), "the request is old: was it replayed, or kept waiting? To check an old request, verify it at its own time"
	words := fmt.Sprintf("%v too old for the %v that are allowed", size, t.Tolerance)
	if t.Skew < 0 {
		words = fmt.Sprintf("%v in the future, %v are allowed", size, t.Tolerance)
		fix = "set the clock of this machine (or the provider's is wrong)"
	}
	e.add(CodeClockSkew, "the signature is good, but it was made at "+t.Timestamp.UTC().Format(time.RFC3339)+", "+words, fix)
}

// hunt tries one change after another, the likeliest first.
func (e *explainer) hunt() {
	if len(e.findings) > 0 && e.findings[0].Code == CodeClockSkew {
		return
	}
	e.otherName()
	e.otherForm()
	e.cutSignature()
	e.otherSecret()
	if len(e.request.Body) > explainBody {
		e.add(CodeBodyTooLong, "the body is longer than 256 KiB, so changes of it were not tried", "")
	} else {
		e.otherBody()
	}
	e.truncated()
	e.otherProvider()
}

// spend takes one try from what is left of the bounds; false when nothing is.
func (e *explainer) spend() bool {
	if e.tries >= explainTries || e.hashed >= explainBytes {
		return false
	}
	e.tries++
	e.hashed += len(e.request.Body)
	return true
}

// verifies tries a request with one secret at the time when it says it was
// signed, within the bound of tries.
func (e *explainer) verifies(s Scheme, r Request, secret string) bool {
	if secret == "" || !e.spend() {
		return false
	}
	_, err := s.Verify(r, e.now, secret)
	return err == nil || errors.Is(err, ErrTimestamp)
}

// otherSecret tries previous secrets, and each secret read in another way.
func (e *explainer) otherSecret() {
	for _, k := range e.secrets {
		if k.Previous && e.verifies(e.scheme, e.request, k.Value) {
			e.previous(k)
		}
		if t := strings.Trim(k.Value, " \t\r\n\"'"); t != k.Value && e.verifies(e.scheme, e.request, t) {
			e.add(CodeSecretWhitespace, k.Name+" has white space or quotes around it; without them the signature is good", "remove them (often a newline from a file, or quotes from an environment file)")
		}
		for _, pad := range []string{"\n", " ", "\r\n"} {
			if !strings.HasSuffix(k.Value, pad) && e.verifies(e.scheme, e.request, k.Value+pad) {
				e.add(CodeSecretWhitespace, fmt.Sprintf("the sender signs with %s and white space (%q) after it", k.Name, pad), "enter the secret again at the provider, without white space")
			}
		}
		e.otherKey(k)
	}
}

func (e *explainer) previous(k KnownSecret) {
	e.add(CodePreviousSecret, "it is signed with "+k.Name+", a previous secret that is not live any more", "let the provider use the new secret, or keep the old one live until it does")
}

// otherKey reads a secret as other schemes would.
func (e *explainer) otherKey(k KnownSecret) {
	for _, form := range []struct {
		key    KeyForm
		prefix string
		words  string
	}{
		{KeyBase64, "whsec_", "decoded from base64 (after whsec_, if it begins so)"},
		{KeyText, "", "as the bytes of its text, not decoded"},
		{KeyHex, "", "decoded from hex"},
	} {
		s := e.scheme.withDefaults()
		changed := false
		for i := range s.Variants {
			if v := &s.Variants[i]; v.Algorithm != Ed25519 && (v.Key != form.key || v.KeyPrefix != form.prefix) {
				v.Key, v.KeyPrefix, changed = form.key, form.prefix, true
			}
		}
		if changed && e.verifies(s, e.request, k.Value) {
			e.add(CodeSecretDecoded, "the signature is good with "+k.Name+" taken "+form.words, "the sender uses another form of the key than "+e.scheme.Name+" does; is the provider of this source the right one?")
		}
	}
	if bare, ok := strings.CutPrefix(k.Value, "whsec_"); ok && e.scheme.withDefaults().Variants[variantOf(e.scheme, k.Value)].Key == KeyText && e.verifies(e.scheme, e.request, bare) {
		e.add(CodeSecretDecoded, "the signature is good with "+k.Name+" without its whsec_", "enter the whole secret at the sender, whsec_ included")
	}
}

// otherForm tries the signature in another encoding, or with another prefix.
func (e *explainer) otherForm() {
	names, _ := arrived(e.scheme.headerSets(), e.request.Header)
	value := e.request.Header.Get(names.Header)
	if value == "" || e.scheme.TimestampPair != "" || len(value) > maxHeader {
		return
	}
	base := e.scheme.withDefaults()
	bare := value
	bare = strings.Trim(bare, "\"' ")
	for _, p := range []string{"sha256=", "sha1=", "v0=", "v1,", "v1="} {
		bare = strings.TrimPrefix(bare, p)
	}
	for _, encoding := range []Encoding{Hex, Base64, Base64URL} {
		s := base.clone()
		for i := range s.Variants {
			s.Variants[i].Encoding = encoding
		}
		v := s.Variants[0]
		r := e.request
		r.Header = r.Header.Clone()
		r.Header.Set(names.Header, v.Prefix+bare)
		sameText := v.Prefix+bare == value
		if sameText && encoding == base.Variants[0].Encoding {
			continue
		}
		for _, k := range e.secrets {
			if !e.verifies(s, r, k.Value) {
				continue
			}
			if encoding != base.Variants[0].Encoding {
				e.add(CodeEncoding, fmt.Sprintf("the signature is good, but written in %s; %s writes %s", encoding, e.scheme.Name, base.Variants[0].Encoding), "is the provider of this source the right one?")
			} else {
				e.add(CodePrefix, fmt.Sprintf("the signature is good, but without the %q that %s writes before it, or with another", v.Prefix, e.scheme.Name), "is the provider of this source the right one?")
			}
			return
		}
	}
}

// otherBody tries what parsers, editors and proxies do to a body.
func (e *explainer) otherBody() {
	for _, c := range append(rewrites(e.request.Body), unpacked(e.request.Body)...) {
		r := e.request
		r.Body = c.body
		for _, k := range e.secrets {
			if e.verifies(e.scheme, r, k.Value) {
				e.add(c.code, c.message, c.fix)
				if k.Previous {
					e.previous(k)
				}
				return
			}
		}
	}
	if enc := e.request.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		e.add(CodeContentEncoding, fmt.Sprintf("the body came with Content-Encoding %.40q; most senders sign it before they encode it", enc), "see that no proxy in front encodes or decodes bodies")
	}
}

// truncated looks for signs that a part of the body is missing.
func (e *explainer) truncated() {
	body := e.request.Body
	length, err := strconv.Atoi(e.request.Header.Get("Content-Length"))
	switch {
	case len(body) > 0 && err == nil && length > len(body):
		e.add(CodeTruncatedBody, fmt.Sprintf("the body has %d bytes, and its Content-Length says %d", len(body), length), "see what cuts or decodes bodies in front; only so much of a rejected body may have been kept")
	case len(body) == 0:
		e.add(CodeTruncatedBody, "the body is empty", "see that nothing in front reads the body before it is passed on")
	case unclosed(body):
		e.add(CodeTruncatedBody, fmt.Sprintf("the body ends after %d bytes in the midst of its JSON", len(body)), "see whether a proxy in front cuts bodies at a limit")
	}
}

// otherProvider looks for the headers of other senders.
func (e *explainer) otherProvider() {
	if _, ok := arrived(e.scheme.headerSets(), e.request.Header); ok {
		return
	}
	for _, other := range builtin() {
		names, ok := arrived(other.headerSets(), e.request.Header)
		if other.Name == e.scheme.Name || !ok {
			continue
		}
		message := "this looks like " + other.Name + ": it has the header " + names.Header
		for _, k := range e.secrets {
			if e.verifies(other, e.request, k.Value) {
				message += ", and it verifies as such with " + k.Name
			}
		}
		e.add(CodeOtherProvider, message, "make a source for "+other.Name+" (`provider: "+other.Name+"` in the configuration file), or give the sender the URL of the right one")
	}
}
