package signature_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/sigpost/sigpost/signature"
)

// now is the time in the examples; a server takes time.Now.
var now = time.Unix(1614265330, 0)

// received is a request as a server gets it.
func received(body string, header ...string) signature.Request {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return signature.Request{Method: http.MethodPost, Header: h, Body: []byte(body)}
}

// printSigned prints what a scheme sends with a body.
func printSigned(s signature.Scheme, body string, secrets ...string) {
	fields, err := s.Sign(signature.Content{ID: "msg_1", Timestamp: now, Body: []byte(body)}, secrets...)
	if err != nil {
		fmt.Println(err)
	}
	for _, f := range fields {
		fmt.Printf("%s: %s\n", f.Name, f.Value)
	}
}

// The decision and the secret are those that Veriff publishes.
func ExampleVeriff() {
	body, err := os.ReadFile("testdata/veriff-decision.json")
	if err != nil {
		fmt.Println(err)
		return
	}
	secret := "abcdef12-abcd-abcd-abcd-abcdef012345"
	r := received(string(body), "X-HMAC-SIGNATURE", "01fa3ded011bfce75672c99877a6cc1cf7aeaeda0ccb6b43fc21b60f595063c2")
	_, err = signature.Veriff().Verify(r, now, secret)
	fmt.Println("as it was sent:", err)

	r.Body = append(r.Body, '\n')
	_, err = signature.Veriff().Verify(r, now, secret)
	fmt.Println("one byte more:", err)
	// Output:
	// as it was sent: <nil>
	// one byte more: signature does not match
}

func ExampleMetaMap() {
	printSigned(signature.MetaMap(), `{"eventName":"verification_completed"}`, "Secret-of-the-webhook-1")
	// Output:
	// x-signature: 5a208079c0507eb1c2731ad3e8fc1cc4576bd88f47ed37cdd49e700e7383fb41
}

// The text of the secret is the key, whsec_ included.
func ExampleMeeva() {
	printSigned(signature.Meeva(), `{"event":"call.ended"}`, "whsec_example")
	// Output:
	// Meeva-Signature: sha256=ed31f0950f24662bd9c6bd4094169e4a6da020ef032de38f746e45eef871fa4e
}

// While a secret is being rotated both sign, and a receiver that has either is content.
func ExampleMeetbot() {
	s := signature.Meetbot()
	fields, err := s.Sign(signature.Content{Body: []byte("{}")}, "new", "old")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.Count(fields[0].Value, "sha256="), "signatures")
	r := received("{}", fields[0].Name, fields[0].Value)
	for _, secret := range []string{"old", "new", "neither"} {
		_, err := s.Verify(r, now, secret)
		fmt.Println(secret, "–", err)
	}
	// Output:
	// 2 signatures
	// old – <nil>
	// new – <nil>
	// neither – signature does not match
}

func ExampleStandardWebhooks() {
	r := received(`{"test": 2432232314}`,
		"webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek",
		"webhook-timestamp", "1614265330",
		"webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	result, err := signature.StandardWebhooks().Verify(r, now, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	fmt.Println(result.ID, result.Timestamp.UTC(), err)
	// Output:
	// msg_p5jXN8AQM9LWM0D4loKWxJek 2021-02-25 15:02:10 +0000 UTC <nil>
}

// A request that is too old is told apart from one that was never good.
func ExampleStripe() {
	s := signature.Stripe()
	fields, err := s.Sign(signature.Content{Timestamp: now, Body: []byte("{}")}, "whsec_example")
	if err != nil {
		fmt.Println(err)
		return
	}
	r := received("{}", fields[0].Name, fields[0].Value)
	_, err = s.Verify(r, now.Add(10*time.Minute), "whsec_example")
	fmt.Println(errors.Is(err, signature.ErrTimestamp), err)
	// Output:
	// true timestamp out of tolerance: 10m0s in the past, 5m0s allowed
}

func ExampleGitHub() {
	printSigned(signature.GitHub(), "Hello, World!", "It's a Secret to Everybody")
	// Output:
	// X-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17
}

func ExampleSlack() {
	printSigned(signature.Slack(), "token=example&command=%2Fhello", "8f742231b10e8888abcd99yyyzzz85a5")
	// Output:
	// X-Slack-Request-Timestamp: 1614265330
	// X-Slack-Signature: v0=85309a18e75a7dc33e3545fbd21f29a51e18f6b767bb801a94046b0b1a8a6ee4
}

// A sender that is not built in: SHA-512 in base64 over time and body.
func ExampleCustom() {
	s, err := signature.Custom(signature.Scheme{
		Name:            "acme",
		Header:          "Acme-Signature",
		TimestampHeader: "Acme-Time",
		Content:         "{timestamp}:{body}",
		Tolerance:       5 * time.Minute,
		Variants:        []signature.Variant{{Algorithm: signature.HMACSHA512, Encoding: signature.Base64}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	printSigned(s, "{}", "example")

	s.Variants[0].Algorithm = "rot13"
	_, err = signature.Custom(s)
	fmt.Println(err)
	// Output:
	// Acme-Time: 1614265330
	// Acme-Signature: oxbqyAflClKVcBOcnFGpe6QIBl8T+kPMP2gGuDQWWiyq/85MzCi5Ny3TdbDrlu0HR0e/zUT+QD7KIKIMKfd+Wg==
	// bad signature scheme (acme): variants[0].algorithm: unknown signature algorithm "rot13"; use hmac-sha256, hmac-sha1, hmac-sha512 or ed25519
}

// Several secrets may be live; the result says which one was used.
func ExampleNewVerifier_rotation() {
	v, err := signature.NewVerifier(signature.Veriff(), "new", "old")
	if err != nil {
		fmt.Println(err)
		return
	}
	fields, err := signature.Veriff().Sign(signature.Content{Body: []byte("{}")}, "old")
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := v.Verify(received("{}", fields[0].Name, fields[0].Value), now)
	fmt.Println("secret", result.Secret, err)
	// Output:
	// secret 1 <nil>
}

func ExampleVerifier_Middleware() {
	verifier, err := signature.NewVerifier(signature.GitHub(), "It's a Secret to Everybody")
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := verifier.Middleware(signature.MiddlewareOptions{})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		result, _ := signature.ResultFrom(r.Context())
		fmt.Printf("%q, signed with secret %d\n", body, result.Secret)
	}))
	for _, body := range []string{"Hello, World!", "Hello, Mars!"} {
		r := httptest.NewRequest(http.MethodPost, "/hook", strings.NewReader(body))
		r.Header.Set("X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Printf("%d %s\n", w.Code, http.StatusText(w.Code))
	}
	// Output:
	// "Hello, World!", signed with secret 0
	// 200 OK
	// 401 Unauthorized
}

// A framework parsed the body and wrote it again, with other white space.
func ExampleExplain() {
	fields, err := signature.Veriff().Sign(signature.Content{Body: []byte(`{"status":"success"}`)}, "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	r := received("{\n  \"status\": \"success\"\n}", fields[0].Name, fields[0].Value)
	e := signature.Explain(signature.Veriff(), r, []signature.KnownSecret{{Value: "example"}}, now)
	for _, f := range e.Findings {
		fmt.Println(f.Code)
		fmt.Println(f.Message)
	}
	// Output:
	// body-reindented
	// a body parser re-wrote the bytes: white space was added; the compact form is what was signed
}
