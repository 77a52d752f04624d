package provider

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// SecretRules say what a secret of a provider looks like.
type SecretRules struct {
	// About says who makes the secret and where it is found.
	About string `yaml:"about"`
	// Forms are what a secret may look like; it must obey one. Without any, every text will do.
	Forms []SecretForm `yaml:"forms"`
	// Chosen: whoever sets the URL chooses the secret, so one can be generated. Else the provider issues it.
	Chosen bool `yaml:"chosen"`
}

// SecretForm is one form of secrets.
type SecretForm struct {
	// Prefix begins every secret of this form. For base64 it may be left out.
	Prefix string `yaml:"prefix"`
	// Base64: what follows the prefix is base64 of the key. Otherwise the
	// whole text, prefix included, is the key.
	Base64 bool `yaml:"base64"`
	// Min and Max bound the key: bytes after decoding for base64, else
	// characters of the whole text. 0 is no bound.
	Min int `yaml:"min"`
	Max int `yaml:"max"`
	// Require are classes of characters of which there must be one each.
	Require []CharacterClass `yaml:"require"`
}

// CharacterClass is a class of characters in a secret.
type CharacterClass string

// The classes.
const (
	Upper CharacterClass = "upper"
	Lower CharacterClass = "lower"
	Digit CharacterClass = "digit"
)

// UnmarshalText reads the word.
func (c *CharacterClass) UnmarshalText(b []byte) error {
	*c = CharacterClass(b)
	if *c != Upper && *c != Lower && *c != Digit {
		return fmt.Errorf("%q is none of upper, lower, digit", b)
	}
	return nil
}

func (c CharacterClass) words() string {
	return map[CharacterClass]string{Upper: "upper-case letter", Lower: "lower-case letter", Digit: "digit"}[c]
}

func (c CharacterClass) in(s string) bool {
	is := map[CharacterClass]func(rune) bool{Upper: unicode.IsUpper, Lower: unicode.IsLower, Digit: unicode.IsDigit}[c]
	return strings.ContainsFunc(s, is)
}

// CheckSecret says what is wrong with secret by the rules of the provider, in
// words that never contain it. There is nothing wrong when the result is empty.
func (d *Definition) CheckSecret(secret string) []string {
	if !d.Signed() {
		return []string{fmt.Sprintf("provider %s does not sign, so it takes no secret; leave it out", d.Name)}
	}
	if secret == "" {
		return []string{"it is empty"}
	}
	if strings.TrimSpace(secret) != secret {
		return []string{"it has white space at an end; remove it"}
	}
	if !utf8.ValidString(secret) || strings.ContainsFunc(secret, unicode.IsControl) {
		return []string{"it has characters that cannot be printed; copy it again"}
	}
	if len(d.Secret.Forms) == 0 {
		return nil
	}
	return formOf(secret, d.Secret.Forms).check(secret)
}

// formOf is the form that secret is meant to have: the one with its prefix,
// else one that does without, else the first.
func formOf(secret string, forms []SecretForm) SecretForm {
	for _, f := range forms {
		if f.Prefix != "" && strings.HasPrefix(secret, f.Prefix) {
			return f
		}
	}
	for _, f := range forms {
		if f.Prefix == "" {
			return f
		}
	}
	return forms[0]
}

func (f SecretForm) check(secret string) []string {
	if f.Base64 {
		return f.checkBase64(strings.TrimPrefix(secret, f.Prefix))
	}
	var problems []string
	if !strings.HasPrefix(secret, f.Prefix) {
		problems = append(problems, fmt.Sprintf("it does not begin with %q, which is part of the key; copy it whole", f.Prefix))
	}
	n := utf8.RuneCountInString(secret)
	if n < f.Min {
		problems = append(problems, fmt.Sprintf("it has %d characters, at least %d are needed", n, f.Min))
	}
	if f.Max > 0 && n > f.Max {
		problems = append(problems, fmt.Sprintf("it has %d characters, at most %d are allowed", n, f.Max))
	}
	for _, class := range f.Require {
		if !class.in(secret) {
			problems = append(problems, "it has no "+class.words())
		}
	}
	return problems
}

func (f SecretForm) checkBase64(encoded string) []string {
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return []string{fmt.Sprintf("it is not base64 after %q; copy it whole, or generate a new one", f.Prefix)}
	}
	if len(key) < f.Min {
		return []string{fmt.Sprintf("its key has %d bytes, at least %d are needed", len(key), f.Min)}
	}
	if f.Max > 0 && len(key) > f.Max {
		return []string{fmt.Sprintf("its key has %d bytes, at most %d are allowed", len(key), f.Max)}
	}
	return nil
}

// GenerateSecret makes a random secret that obeys the rules of the provider:
// at least 190 bits, unless the rules want it shorter. The error names a
// provider that takes no secret.
func (d *Definition) GenerateSecret() (string, error) {
	if !d.Signed() {
		return "", fmt.Errorf("generate secret: provider %s does not sign, so it takes none", d.Name)
	}
	form := SecretForm{}
	if len(d.Secret.Forms) > 0 {
		form = d.Secret.Forms[0]
	}
	return form.generate()
}

func (f SecretForm) generate() (string, error) {
	size := f.size()
	if f.Base64 {
		key := make([]byte, size)
		_, _ = rand.Read(key) // never fails; see crypto/rand
		return f.Prefix + base64.StdEncoding.EncodeToString(key), nil
	}
	// A text of this length lacks a class once in some hundred times at most,
	// unless the rules cannot be met at all.
	for range 1000 {
		secret := f.Prefix
		for len(secret) < size {
			secret += rand.Text()
		}
		secret = mixCase(secret[:max(size, len(f.Prefix))], len(f.Prefix))
		if len(f.check(secret)) == 0 {
			return secret, nil
		}
	}
	return "", fmt.Errorf("generate secret: no text obeys its rules; see secret.forms of the provider")
}

// size is how long a generated key is: 32 bytes of base64 or 40 characters,
// within the bounds of the form.
func (f SecretForm) size() int {
	size := 40 + len(f.Prefix)
	if f.Base64 {
		size = 32
	}
	size = max(size, f.Min)
	if f.Max > 0 {
		size = min(size, f.Max)
	}
	return size
}

// mixCase makes every letter of s after the prefix upper or lower case by the toss of a coin.
func mixCase(s string, prefix int) string {
	coins := make([]byte, len(s))
	_, _ = rand.Read(coins)
	b := []byte(s)
	for i := prefix; i < len(b); i++ {
		if coins[i]&1 == 1 {
			b[i] = byte(unicode.ToLower(rune(b[i])))
		}
	}
	return string(b)
}
