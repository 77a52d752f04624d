package api_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/sigpost/sigpost/internal/hook"
)

// rejects are two sources with requests that did not verify.
type rejects struct {
	*harness
	source hook.Source
	store  rejecter
}

// rejecter is what the tests do to the store behind the API.
type rejecter interface {
	CreateSource(ctx context.Context, x hook.Source, secrets []hook.Secret) (hook.Source, error)
	Reject(ctx context.Context, r *hook.Rejected) error
}

const rejectingSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func newRejects(t *testing.T) *rejects {
	t.Helper()
	r := &rejects{harness: newHarness(t)}
	r.store = r.server.API().Store.(rejecter)
	r.source = r.addSource("org_tests", "kyc")
	return r
}

func (r *rejects) addSource(org, name string) hook.Source {
	r.t.Helper()
	x, err := r.store.CreateSource(r.t.Context(), hook.Source{Org: r.org(org), Name: name, UID: name + "-uid", Provider: "standard-webhooks"}, []hook.Secret{rejectingSecret})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.server.API().Runtime.SourceChanged(r.t.Context(), x.Org, x.ID); err != nil {
		r.t.Fatal(err)
	}
	return x
}

// reject keeps a request to a source that was signed with a secret, and returns its id.
func (r *rejects) reject(x hook.Source, secret, body string) string {
	r.t.Helper()
	wh, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		r.t.Fatal(err)
	}
	now := time.Now()
	sig, err := wh.Sign("evt_"+body, now, []byte(body))
	if err != nil {
		r.t.Fatal(err)
	}
	rej := &hook.Rejected{
		Org: x.Org, Source: x.ID, Reason: "mismatch", ReceivedAt: now, Remote: "192.0.2.1", Method: "POST", URL: "/in/" + x.Token.Reveal(), Body: []byte(body), Size: len(body),
		Headers: []hook.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "Webhook-Id", Value: "evt_" + body},
			{Name: "Webhook-Timestamp", Value: strconv.FormatInt(now.Unix(), 10)}, {Name: "Webhook-Signature", Value: sig}},
	}
	if err := r.store.Reject(r.t.Context(), rej); err != nil {
		r.t.Fatal(err)
	}
	return r.server.IDs().Public(hook.KindRejected, rej.ID)
}

func TestRejectedRequestsAreListedBySource(t *testing.T) {
	t.Parallel()
	r := newRejects(t)
	second, foreign := r.addSource("org_tests", "pay"), r.addSource("org_others", "kyc")
	var want []string
	for i := range 5 {
		want = append([]string{r.reject(r.source, rejectingSecret, fmt.Sprint(i))}, want...)
		r.reject(foreign, rejectingSecret, "x")
	}
	pay := r.reject(second, rejectingSecret, "p")
	id := r.server.IDs().Public(hook.KindSource, r.source.ID)
	for query, want := range map[string]string{
		"source=" + id: strings.Join(want, " "), "source=kyc": strings.Join(want, " "), "source=kyc-uid": strings.Join(want, " "), "source=pay": pay,
		"": pay + " " + strings.Join(want, " "),
	} {
		var got []string
		iterator := ""
		for range 10 {
			page := r.must(http.StatusOK, "GET", "/api/v1/rejected?limit=2&iterator="+iterator+"&"+query, nil)
			if ids := column(page["data"], "id"); ids != "" {
				got = append(got, ids)
			}
			iterator, _ = page["iterator"].(string)
			if page["done"] == true {
				break
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("?%s: %v, %s is right", query, got, want)
		}
	}
	row := r.rows("/api/v1/rejected?source=pay")[0]
	if row["sourceId"] != r.server.IDs().Public(hook.KindSource, second.ID) || row["reason"] != "mismatch" || row["size"] != 1.0 || row["acceptedMsgId"] != nil {
		t.Errorf("a row is %v", row)
	}
	r.must(http.StatusNotFound, "GET", "/api/v1/rejected?source=unknown", nil)
	r.must(http.StatusUnprocessableEntity, "GET", "/api/v1/rejected?iterator=-"+pay, nil)
	r.must(http.StatusUnprocessableEntity, "GET", "/api/v1/rejected?iterator="+id, nil)
}

func TestARejectedRequestIsExplainedAndAccepted(t *testing.T) {
	t.Parallel()
	r := newRejects(t)
	good := r.reject(r.source, rejectingSecret, `{"type":"a.b","n":1}`)
	bad := r.reject(r.source, "whsec_"+base64.StdEncoding.EncodeToString([]byte("another secret, long enough")), `{"type":"a.b","n":2}`)
	got := r.must(http.StatusOK, "GET", "/api/v1/rejected/"+bad, nil)
	if got["validNow"] != false || got["whole"] != true || len(got["explanation"].([]any)) == 0 {
		t.Errorf("a bad one: %v", got)
	}
	if body, err := base64.StdEncoding.DecodeString(got["body"].(string)); err != nil || string(body) != `{"type":"a.b","n":2}` {
		t.Errorf("its body is %q, %v", body, err)
	}
	text := r.send("GET", "/api/v1/rejected/"+bad, nil).Body.String()
	if strings.Contains(text, "v1,") || strings.Contains(text, r.source.Token.Reveal()) || !strings.Contains(text, "[redacted]") {
		t.Errorf("shows what may be secret: %s", text)
	}
	r.must(http.StatusUnprocessableEntity, "POST", "/api/v1/rejected/"+bad+"/accept", nil)
	if got := r.must(http.StatusOK, "GET", "/api/v1/rejected/"+good, nil); got["validNow"] != true {
		t.Errorf("a good one: %v", got)
	}
	accepted := r.must(http.StatusAccepted, "POST", "/api/v1/rejected/"+good+"/accept", nil)
	app := r.server.IDs().Public(hook.KindApplication, r.source.App)
	r.must(http.StatusOK, "GET", "/api/v1/app/"+app+"/msg/"+accepted["msgId"].(string), nil)
	if got := r.must(http.StatusOK, "GET", "/api/v1/rejected/"+good, nil); got["acceptedMsgId"] != accepted["msgId"] {
		t.Errorf("afterwards: %v", got)
	}
	if again := r.must(http.StatusAccepted, "POST", "/api/v1/rejected/"+good+"/accept", nil); again["msgId"] != accepted["msgId"] || again["duplicate"] != true {
		t.Errorf("accepted again: %v", again)
	}
}

func TestALongBodyIsCutWhereItIsShown(t *testing.T) {
	t.Parallel()
	r := newRejects(t)
	rej := &hook.Rejected{Org: r.source.Org, Source: r.source.ID, Reason: "mismatch", ReceivedAt: time.Now(), Method: "POST", Body: make([]byte, 100<<10), Size: 100 << 10, Quarantined: true}
	if err := r.store.Reject(t.Context(), rej); err != nil {
		t.Fatal(err)
	}
	got := r.must(http.StatusOK, "GET", "/api/v1/rejected/"+r.server.IDs().Public(hook.KindRejected, rej.ID), nil)
	if n := base64.StdEncoding.DecodedLen(len(got["body"].(string))); n > 64<<10+2 || n < 64<<10 || got["size"] != float64(100<<10) || got["whole"] != true {
		t.Errorf("%d bytes of %v are shown, whole %v", n, got["size"], got["whole"])
	}
}

func TestRejectedRequestsAreRefusedToOthers(t *testing.T) {
	t.Parallel()
	r := newRejects(t)
	id, app := r.reject(r.source, rejectingSecret, "{}"), r.app("a")
	source := r.server.IDs().Public(hook.KindSource, r.source.ID)
	foreign, portal := r.as(jwtOf(t, "org_others", "")), r.as(jwtOf(t, "org_tests", app))
	if rows := foreign.rows("/api/v1/rejected"); len(rows) > 0 {
		t.Errorf("another organization sees %v", rows)
	}
	for _, c := range []struct{ method, path string }{
		{"GET", "/api/v1/rejected?source=" + source}, {"GET", "/api/v1/rejected?source=kyc"}, {"GET", "/api/v1/rejected/" + id}, {"POST", "/api/v1/rejected/" + id + "/accept"},
	} {
		foreign.must(http.StatusNotFound, c.method, c.path, nil)
		portal.must(http.StatusForbidden, c.method, c.path, nil)
	}
	r.must(http.StatusNotFound, "GET", "/api/v1/rejected/rej_1srOrx2ZWZBpBUvZwXKQmoEYga2", nil)
	if got := r.must(http.StatusOK, "GET", "/api/v1/rejected/"+id, nil); got["acceptedMsgId"] != nil {
		t.Error("it was accepted by one who may not")
	}
}
