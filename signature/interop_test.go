package signature_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/sigpost/sigpost/signature"
)

const interopSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func reference(t *testing.T) *standardwebhooks.Webhook {
	t.Helper()
	wh, err := standardwebhooks.NewWebhook(interopSecret)
	if err != nil {
		t.Fatal(err)
	}
	return wh
}

func TestReferenceLibraryVerifiesWhatWeSign(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "{}", "\x00\xff\r\n", strings.Repeat("x", 100_000)} {
		at := time.Now()
		for _, secrets := range [][]string{{interopSecret}, {"whsec_b3RoZXI=", interopSecret}} {
			fields, err := signature.StandardWebhooks().Sign(signature.Content{ID: "msg_1", Timestamp: at, Body: []byte(body)}, secrets...)
			if err != nil {
				t.Fatal(err)
			}
			h := http.Header{}
			for _, f := range fields {
				h.Set(f.Name, f.Value)
			}
			if err := reference(t).Verify([]byte(body), h); err != nil {
				t.Errorf("%d bytes, %d secrets: %v", len(body), len(secrets), err)
			}
			if err := reference(t).Verify([]byte(body+" "), h); err == nil {
				t.Error("the reference library takes a changed body")
			}
		}
	}
}

func TestWeVerifyWhatTheReferenceLibrarySigns(t *testing.T) {
	t.Parallel()
	at := time.Now()
	for _, body := range []string{"", "{}", "\x00\xff\r\n", strings.Repeat("x", 100_000)} {
		sig, err := reference(t).Sign("msg_1", at, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		fields, err := signature.StandardWebhooks().Sign(signature.Content{ID: "msg_1", Timestamp: at, Body: []byte(body)}, interopSecret)
		if err != nil || fields[2].Value != sig {
			t.Errorf("we sign %v (%v), the reference %s", fields, err, sig)
		}
		r := received(body, "webhook-id", "msg_1", "webhook-timestamp", fields[1].Value, "webhook-signature", sig)
		if _, err := signature.StandardWebhooks().Verify(r, at, interopSecret); err != nil {
			t.Errorf("%d bytes: %v", len(body), err)
		}
	}
}
