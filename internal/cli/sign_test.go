package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What the published vectors say is what sign must write.
func TestSignWritesThePublishedHeaders(t *testing.T) {
	t.Parallel()
	body := file(t, "body", `{"test": 2432232314}`)
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	args := []string{"sign", "--provider", "standard-webhooks", "--secret", secret, "--at", "1614265330", "--id", "msg_p5jXN8AQM9LWM0D4loKWxJek", body}
	want := "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\n" +
		"webhook-timestamp: 1614265330\n" +
		"webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\n"
	r := sigpost(t, args...)
	r.expect(t, ExitOK)
	if diff := cmp.Diff(want, r.out); diff != "" {
		t.Error(diff)
	}

	var asJSON struct {
		Headers []struct{ Name, Value string }
	}
	r = sigpost(t, append(args, "--json")...)
	if err := json.Unmarshal([]byte(r.out), &asJSON); err != nil {
		t.Fatal(err)
	}
	lines := ""
	for _, h := range asJSON.Headers {
		lines += h.Name + ": " + h.Value + "\n"
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
}

func TestSignTakesTimesInBothForms(t *testing.T) {
	t.Parallel()
	body := file(t, "body", "{}")
	args := []string{"sign", "--provider", "stripe", "--secret", "whsec_0123456789abcdef", body}
	unix := sigpost(t, append(args, "--at", "1772442000")...)
	unix.expect(t, ExitOK, "Stripe-Signature: t=1772442000,v1=")
	if words := sigpost(t, append(args, "--at", "2026-03-02T09:00:00Z")...); words.out != unix.out {
		t.Errorf("%q for the same time in words, want %q", words.out, unix.out)
	}
}

func TestSignListsBothSignaturesWhileSecretsRotate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		provider, prefix string
		want             int
	}{{"meetbot", "sha256=", 2}, {"stripe", "v1=", 2}, {"meeva", "sha256=", 1}} // Meeva's header can hold one only
	for _, tt := range tests {
		r := sigpost(t, "sign", "--provider", tt.provider, "--secret", "whsec_the_new_secret", "--secret", "whsec_the_old_secret", file(t, "body", "{}"))
		r.expect(t, ExitOK)
		if n := strings.Count(r.out, tt.prefix); n != tt.want {
			t.Errorf("%d signatures in %q, want %d", n, r.out, tt.want)
		}
	}
}

func TestSignMakesANewIDForEachMessage(t *testing.T) {
	t.Parallel()
	args := []string{"sign", "--provider", "standard-webhooks", "--secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", file(t, "body", "{}")}
	first, second := sigpost(t, args...), sigpost(t, args...)
	first.expect(t, ExitOK, "webhook-id: msg_")
	if first.out == second.out {
		t.Error("two messages have the same id")
	}
}
