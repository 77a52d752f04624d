package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sigpost/sigpost/internal/provider"
)

func TestProvidersListsEveryone(t *testing.T) {
	t.Parallel()
	set, err := provider.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	r := sigpost(t, "providers")
	r.expect(t, ExitOK)
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	if len(lines) != 1+len(set.Names()) {
		t.Errorf("%d lines, want a heading and %d providers:\n%s", len(lines), len(set.Names()), r.out)
	}
	for i, name := range set.Names() {
		if !strings.HasPrefix(lines[i+1], name+" ") {
			t.Errorf("line %q is not about %s", lines[i+1], name)
		}
	}
}

func TestProvidersShowsAllOfOne(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{
		"veriff": {
			"X-HMAC-SIGNATURE", "HMAC-SHA256 in hex", "the text of the secret", "none is signed", "X-AUTH-CLIENT", "at least 16 characters",
			"exactly 200 within 5s", "443 only", "every 1h, for 168h in all", "only 200", "session (primary)", "verification.id",
			"veriff.watchlist.updated_result", "9102", "declined", "Codes: Decision",
		},
		"metamap": {"52.55.16.54/32", "after 1m, 3m, 5m, 7m, 10m", "with an upper-case letter, with a lower-case letter, with a digit", "resource | last_segment"},
		"svix":    {"Standard Webhooks (standard-webhooks)", "webhook-signature", "svix-signature", `Ed25519 in base64 after "v1a,"`, "at most 5m off", "separated by spaces", "whpk_…, 32 bytes in base64"},
		"stripe":  {"t= in the same header", "separated by commas", "{timestamp}.{body}"},
		"github":  {"retries", "none", "header:X-GitHub-Delivery"},
		"generic": {"nothing is verified", "has published nothing"},
	}
	for name, wants := range tests {
		sigpost(t, "providers", name).expect(t, ExitOK, wants...)
	}
}

func TestProvidersSpeaksToMachines(t *testing.T) {
	t.Parallel()
	var all []providerView
	r := sigpost(t, "providers", "--json", "--config", file(t, "sigpost.yaml", shopConfig))
	if err := json.Unmarshal([]byte(r.out), &all); err != nil {
		t.Fatal(err)
	}
	last := len(all)
	for i, v := range all {
		if v.Name == "myshop" {
			last = i
		}
	}
	if last == len(all) || all[last].Scheme == nil || all[last].Scheme.Header != "X-Shop-Signature" || all[last].Send.Timeout != "200ms" || all[last].Title != "My $hop" {
		t.Errorf("the provider of the configuration is not there as it is written:\n%s", r.out)
	}
	sigpost(t, "providers", "stripe", "--json").expect(t, ExitOK, `"tolerance": "5m"`, `"header": "Stripe-Signature"`)
	sigpost(t, "providers", "generic", "--json").expect(t, ExitOK, `"scheme": null`, `"send": null`)
}
