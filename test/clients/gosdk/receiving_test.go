package gosdk_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	svix "github.com/svix/svix-webhooks/go"
	"github.com/svix/svix-webhooks/go/models"
)

const veriffSecret = "abcdef12-abcd-abcd-abcd-abcdef012345"

// post sends a body as Veriff does.
func post(t *testing.T, url, secret, body string) (status int) {
	t.Helper()
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-AUTH-CLIENT", "key")
	req.Header.Set("X-HMAC-SIGNATURE", hex.EncodeToString(mac.Sum(nil)))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

func TestSourceTakesWhatItsProviderSignedAndDeliversIt(t *testing.T) {
	t.Parallel()
	ctx, c := context.Background(), owner(t)
	source, err := c.Ingest.Source.Create(ctx, models.IngestSourceIn{
		Name: "identity checks", Type: models.IngestSourceInTypeVeriff, Config: models.VeriffConfig{Secret: veriffSecret},
	}, nil)
	must(t, source, err)
	if source.Type != models.IngestSourceOutTypeVeriff || source.IngestUrl == nil {
		t.Fatalf("made %+v", source)
	}
	to := newHook(t)
	endpoint, err := c.Ingest.Endpoint.Create(ctx, source.Id, models.IngestEndpointIn{Url: to.URL}, nil)
	must(t, endpoint, err)
	secret, err := c.Ingest.Endpoint.GetSecret(ctx, source.Id, endpoint.Id)
	must(t, secret, err)
	const body = `{"status":"success","verification":{"id":"12df6045-3846-3e45-946a-14fa6136d78b","code":9001,"status":"approved"}}`
	if status := post(t, *source.IngestUrl, veriffSecret, body); status != http.StatusOK {
		t.Errorf("answered %d", status)
	}
	if r := to.came(1)[0]; string(r.Body) != body || !verifies(t, secret.Key, r) {
		t.Errorf("%s does not verify: %v", r.Body, r.Headers)
	}
	if status := post(t, *source.IngestUrl, "another secret, long enough", body); status != http.StatusUnauthorized {
		t.Errorf("with a wrong secret: %d", status)
	}
	rotated, err := c.Ingest.Source.RotateToken(ctx, source.Id, nil)
	if must(t, rotated, err).IngestUrl == *source.IngestUrl {
		t.Error("the URL is the old one")
	}
	done(t, c.Ingest.Source.Delete(ctx, source.Id))
	if status := post(t, rotated.IngestUrl, veriffSecret, body); status != http.StatusNotFound {
		t.Errorf("after the source was deleted: %d", status)
	}
}

func TestPortalReachesItsApplicationUntilItLogsOut(t *testing.T) {
	t.Parallel()
	ctx, c := context.Background(), owner(t)
	mine, other := application(t, c), application(t, c)
	access, err := c.Authentication.AppPortalAccess(ctx, mine.Id, models.AppPortalAccessIn{}, nil)
	must(t, access, err)
	portal := client(t, access.Token)
	list, err := portal.Endpoint.List(ctx, mine.Id, nil)
	if must(t, list, err); len(list.Data) != 0 {
		t.Errorf("listed %+v", list.Data)
	}
	_, err = portal.Endpoint.List(ctx, other.Id, nil)
	refused(t, err, http.StatusNotFound)
	done(t, portal.Authentication.Logout(ctx, nil))
	_, err = portal.Endpoint.List(ctx, mine.Id, nil)
	refused(t, err, http.StatusUnauthorized)
}

func TestEventTypesOperationalWebhooksAndStatistics(t *testing.T) {
	t.Parallel()
	ctx, c := context.Background(), owner(t)
	done(t, c.Health.Get(ctx))
	name := strings.ReplaceAll(fresh("type"), "-", "_")
	made, err := c.EventType.Create(ctx, models.EventTypeIn{Name: name, Description: "one", FeatureFlags: []string{"beta"}}, nil)
	if must(t, made, err).Name != name || len(made.FeatureFlags) != 1 {
		t.Errorf("made %+v", made)
	}
	put, err := c.EventType.Update(ctx, name, models.EventTypeUpdate{Description: "two"})
	if must(t, put, err).Description != "two" {
		t.Errorf("put %+v", put)
	}
	exported, err := c.Environment.Export(ctx, nil)
	if must(t, exported, err); len(exported.EventTypes) == 0 {
		t.Error("no event type was exported")
	}
	done(t, c.EventType.Delete(ctx, name, &svix.EventTypeDeleteOptions{Expunge: pointer(true)}))
	_, err = c.EventType.Get(ctx, name)
	refused(t, err, http.StatusNotFound)

	listener, err := c.OperationalWebhook.Endpoint.Create(ctx, models.OperationalWebhookEndpointIn{Url: newHook(t).URL, FilterTypes: []string{"endpoint.disabled"}}, nil)
	if must(t, listener, err); len(listener.FilterTypes) != 1 {
		t.Errorf("made %+v", listener)
	}
	done(t, c.OperationalWebhook.Endpoint.Delete(ctx, listener.Id))

	until := time.Now()
	task, err := c.Statistics.AggregateAppStats(ctx, models.AppUsageStatsIn{Since: until.Add(-time.Hour), Until: until}, nil)
	must(t, task, err)
	eventually(t, func() bool {
		now, err := c.BackgroundTask.Get(ctx, task.Id)
		return must(t, now, err).Status == models.BACKGROUNDTASKSTATUS_FINISHED
	})
}

func TestFaultsAreRefusedInTheFormOfTheirKind(t *testing.T) {
	t.Parallel()
	ctx, c := context.Background(), owner(t)
	app := application(t, c)
	_, err := c.Endpoint.Create(ctx, app.Id, models.EndpointIn{Url: "ftp://example.com"}, nil)
	refused(t, err, http.StatusUnprocessableEntity)
	_, err = c.Message.Create(ctx, app.Id, models.MessageIn{EventType: "a b", Payload: map[string]any{}}, nil)
	refused(t, err, http.StatusUnprocessableEntity)
	_, err = c.Message.Create(ctx, app.Id, models.MessageIn{EventType: "a.b", Payload: map[string]any{"text": strings.Repeat("x", 1<<20)}}, nil)
	refused(t, err, http.StatusRequestEntityTooLarge)
	_, err = c.Message.Get(ctx, app.Id, "nobody", nil)
	refused(t, err, http.StatusNotFound)
	_, err = client(t, "nonsense").Application.List(ctx, nil)
	refused(t, err, http.StatusUnauthorized)
}
