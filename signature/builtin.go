package signature

import "time"

// Lookup is the built-in scheme called name; see Names. Names are lower-case
// and have no other spellings.
func Lookup(name string) (Scheme, bool) {
	for _, s := range builtin() {
		if s.Name == name {
			return s, true
		}
	}
	return Scheme{}, false
}

// Names are the names of the built-in schemes.
func Names() []string {
	var names []string
	for _, s := range builtin() {
		names = append(names, s.Name)
	}
	return names
}

func builtin() []Scheme {
	return []Scheme{Veriff(), MetaMap(), Meeva(), Meetbot(), StandardWebhooks(), Stripe(), GitHub(), Slack()}
}

// Custom checks a scheme and returns a copy that shares nothing with it. The
// error is that of Validate.
func Custom(s Scheme) (Scheme, error) {
	if err := s.Validate(); err != nil {
		return Scheme{}, err
	}
	return s.clone(), nil
}

// Veriff signs the bare body: hex HMAC-SHA256 under the text of the shared
// secret key, dashes included. There is neither a timestamp nor an id, so a
// recorded request stays valid for ever; only de-duplication defends against
// a replay.
//
// Source: https://devdocs.veriff.com/docs/hmac-authentication-and-endpoint-security
func Veriff() Scheme {
	return Scheme{
		Name:     "veriff",
		Header:   "X-HMAC-SIGNATURE",
		Variants: []Variant{{Algorithm: HMACSHA256}},
	}
}

// MetaMap (formerly Mati) signs the bare body: hex HMAC-SHA256 under the text
// of the webhook secret. As with Veriff, nothing defends against a replay.
//
// Source: https://docs.metamap.com/docs/webhooks
func MetaMap() Scheme {
	return Scheme{
		Name:     "metamap",
		Header:   "x-signature",
		Variants: []Variant{{Algorithm: HMACSHA256}},
	}
}

// Meeva signs the bare body: "sha256=" and hex HMAC-SHA256. The key is the whole
// text of the secret; its "whsec_" is part of the key and nothing is decoded.
//
// Source: https://meeva.app/docs/webhooks
func Meeva() Scheme {
	return Scheme{
		Name:     "meeva",
		Header:   "Meeva-Signature",
		Variants: []Variant{{Algorithm: HMACSHA256, Prefix: "sha256="}},
	}
}

// Meetbot signs as Meeva does, under a header of its own. While a secret is
// being rotated the header is a comma-separated list, and one entry that
// verifies is enough; a Signer writes the list only while it has two secrets.
//
// Source: https://meetbot.dev/docs/meeting-bots/quickstart
func Meetbot() Scheme {
	return Scheme{
		Name:     "meetbot",
		Header:   "x-meetbot-signature",
		Variants: []Variant{{Algorithm: HMACSHA256, Prefix: "sha256="}},
		Multi:    MultiComma,
	}
}

// StandardWebhooks is the dialect of https://www.standardwebhooks.com, with its
// own header names or those that begin with "svix-". A secret with "whsec_", or
// without a prefix, is an HMAC-SHA256 key in base64 (v1); "whsk_" and "whpk_" mark the
// private and the public half of an Ed25519 key (v1a). The private half is
// the seed of 32 bytes or the whole key of 64. The tolerance of five minutes is
// that of the reference libraries.
//
// Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
func StandardWebhooks() Scheme {
	return Scheme{
		Name:            "standard-webhooks",
		Header:          "webhook-signature",
		IDHeader:        "webhook-id",
		TimestampHeader: "webhook-timestamp",
		Aliases:         []HeaderNames{{Header: "svix-signature", IDHeader: "svix-id", TimestampHeader: "svix-timestamp"}},
		Variants: []Variant{
			{Algorithm: HMACSHA256, Prefix: "v1,", Encoding: Base64, Key: KeyBase64, KeyPrefix: "whsec_"},
			{Algorithm: Ed25519, Prefix: "v1a,", Encoding: Base64, Key: KeyBase64, KeyPrefix: "whsk_", PublicKeyPrefix: "whpk_"},
		},
		Content:   "{id}.{timestamp}.{body}",
		Multi:     MultiSpace,
		Tolerance: 5 * time.Minute,
	}
}

// Stripe signs "timestamp.body": hex HMAC-SHA256 under the whole text of the
// secret, "whsec_" included. The header is a list of pairs with one t and, while
// a secret is being rotated, several v1; v0 is for tests only and is ignored.
//
// Source: https://docs.stripe.com/webhooks#verify-manually
func Stripe() Scheme {
	return Scheme{
		Name:          "stripe",
		Header:        "Stripe-Signature",
		Variants:      []Variant{{Algorithm: HMACSHA256, Prefix: "v1="}},
		Content:       "{timestamp}.{body}",
		Multi:         MultiComma,
		TimestampPair: "t",
		Tolerance:     5 * time.Minute,
	}
}

// GitHub signs the bare body, form-encoded or JSON as it is sent: "sha256=" and hex
// HMAC-SHA256 under the text of the secret. The older X-Hub-Signature (SHA-1)
// is not looked at.
//
// Source: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
func GitHub() Scheme {
	return Scheme{
		Name:     "github",
		Header:   "X-Hub-Signature-256",
		Variants: []Variant{{Algorithm: HMACSHA256, Prefix: "sha256="}},
	}
}

// Slack signs "v0:timestamp:body": "v0=" and hex HMAC-SHA256 under the text of
// the signing secret.
//
// Source: https://docs.slack.dev/authentication/verifying-requests-from-slack
func Slack() Scheme {
	return Scheme{
		Name:            "slack",
		Header:          "X-Slack-Signature",
		TimestampHeader: "X-Slack-Request-Timestamp",
		Variants:        []Variant{{Algorithm: HMACSHA256, Prefix: "v0="}},
		Content:         "v0:{timestamp}:{body}",
		Tolerance:       5 * time.Minute,
	}
}
