package provider

import (
	"strings"
	"testing"
)

func TestGeneratedSecretsObeyTheRules(t *testing.T) {
	t.Parallel()
	for _, d := range builtin(t).definitions {
		if !d.Signed() {
			continue
		}
		seen := map[string]bool{}
		for range 50 {
			s, err := d.GenerateSecret()
			if err != nil {
				t.Fatalf("%s: %v", d.Name, err)
			}
			if p := d.CheckSecret(s); len(p) != 0 {
				t.Errorf("%s: a generated secret is refused: %v", d.Name, p)
			}
			if seen[s] {
				t.Errorf("%s: the same secret came twice", d.Name)
			}
			seen[s] = true
		}
	}
}

func TestCheckSecretNamesEveryProblem(t *testing.T) {
	t.Parallel()
	const whsec = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	tests := []struct {
		provider, secret string
		want             []string
	}{
		{"veriff", "abcdef12-abcd-abcd-abcd-abcdef012345", nil},
		{"veriff", "short", []string{"at least 16"}},
		{"veriff", "", []string{"empty"}},
		{"veriff", "abcdef12-abcd-abcd-abcd-abcdef012345\n", []string{"white space"}},
		{"veriff", "abcdef12-abcd\x00-abcd-abcd-abcdef012345", []string{"cannot be printed"}},
		{"metamap", "your_metamap_webhook_secret", []string{"no upper-case letter", "no digit"}},
		{"metamap", "ABC1", []string{"at least 16", "no lower-case letter"}},
		{"metamap", "Abcdefghijklmno1", nil},
		{"meeva", whsec, nil},
		{"meetbot", strings.TrimPrefix(whsec, "whsec_"), []string{`does not begin with "whsec_"`}},
		{"standard-webhooks", whsec, nil},
		{"standard-webhooks", strings.TrimPrefix(whsec, "whsec_"), nil},
		{"standard-webhooks", "whsec_plJ3nmyCDGBKInavdOK15jsl", []string{"18 bytes, at least 24"}},
		{"standard-webhooks", "whsec_???", []string{"not base64"}},
		{"standard-webhooks", "whpk_" + strings.Repeat("A", 43) + "=", nil},
		{"standard-webhooks", "whsec_" + strings.Repeat("AAAA", 22), []string{"at most 64"}},
		{"github", "It's a Secret to Everybody", nil},
		{"generic", "anything", []string{"does not sign"}},
	}
	set := builtin(t)
	for _, tt := range tests {
		d, err := set.Lookup(tt.provider)
		if err != nil {
			t.Fatal(err)
		}
		got := d.CheckSecret(tt.secret)
		if len(got) != len(tt.want) {
			t.Errorf("%s %q: got %q, want %q", tt.provider, tt.secret, got, tt.want)
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], tt.want[i]) {
				t.Errorf("%s %q: got %q, want %q", tt.provider, tt.secret, got[i], tt.want[i])
			}
			if len(tt.secret) > 5 && strings.Contains(got[i], tt.secret) {
				t.Errorf("%s: the problem shows the secret", tt.provider)
			}
		}
	}
}

func TestGenerateSecretRefusesRulesThatCannotBeMet(t *testing.T) {
	t.Parallel()
	if s, err := (SecretForm{Min: 1, Max: 2, Require: []CharacterClass{Upper, Lower, Digit}}).generate(); err == nil {
		t.Errorf("got %q", s)
	}
	if _, err := definition(t, "generic").GenerateSecret(); err == nil {
		t.Error("a provider that does not sign gets a secret")
	}
}
