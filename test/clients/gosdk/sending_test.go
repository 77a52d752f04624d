package gosdk_test

import (
	"context"
	"net/http"
	"reflect"
	"testing"
	"time"

	svix "github.com/svix/svix-webhooks/go"
	"github.com/svix/svix-webhooks/go/models"
)

func TestApplicationIsMadeReadChangedListedAndDeleted(t *testing.T) {
	t.Parallel()
	ctx, c := context.Background(), owner(t)
	uid := fresh("app")
	in := models.ApplicationIn{Name: "one", Uid: &uid, Metadata: &map[string]string{"a": "b"}}
	made, err := c.Application.Create(ctx, in, nil)
	must(t, made, err)
	if made.Name != "one" || *made.Uid != uid || made.Metadata["a"] != "b" || time.Since(made.CreatedAt).Abs() > time.Minute {
		t.Errorf("made %+v", made)
	}
	got, err := c.Application.Get(ctx, uid)
	if must(t, got, err); !reflect.DeepEqual(got, made) {
		t.Errorf("read %+v, made %+v", got, made)
	}
	same, err := c.Application.GetOrCreate(ctx, in, nil)
	if must(t, same, err).Id != made.Id {
		t.Errorf("GetOrCreate gave %s, not %s", same.Id, made.Id)
	}
	_, err = c.Application.Create(ctx, in, nil)
	refused(t, err, http.StatusConflict)
	patched, err := c.Application.Patch(ctx, uid, models.ApplicationPatch{Name: pointer("two")})
	if must(t, patched, err).Name != "two" || patched.Metadata["a"] != "b" {
		t.Errorf("patched %+v", patched)
	}
	put, err := c.Application.Update(ctx, uid, models.ApplicationIn{Name: "three", Uid: &uid})
	if must(t, put, err).Name != "three" || len(put.Metadata) != 0 {
		t.Errorf("put %+v", put)
	}
	listed(t, c, made.Id)
	done(t, c.Application.Delete(ctx, uid))
	_, err = c.Application.Get(ctx, uid)
	refused(t, err, http.StatusNotFound)
}

// listed pages through all applications and finds one of them, once.
func listed(t *testing.T, c *svix.Svix, id string) {
	t.Helper()
	found := 0
	o := svix.ApplicationListOptions{Limit: pointer[uint64](2)}
	for {
		page, err := c.Application.List(context.Background(), &o)
		must(t, page, err)
		for _, a := range page.Data {
			if a.Id == id {
				found++
			}
		}
		if page.Done {
			break
		}
		o.Iterator = page.Iterator
	}
	if found != 1 {
		t.Errorf("the application is listed %d times", found)
	}
}

func TestEndpointIsMadeReadChangedAndDeleted(t *testing.T) {
	t.Parallel()
	ctx, c := context.Background(), owner(t)
	app, to := application(t, c), newHook(t)
	made, err := c.Endpoint.Create(ctx, app.Id, models.EndpointIn{
		Url: to.URL, Description: pointer("one"), FilterTypes: []string{"order.made"}, Channels: []string{"eu"}, RateLimit: pointer[uint16](50),
		Headers: &map[string]string{"X-One": "1"},
	}, nil)
	must(t, made, err)
	if made.Url != to.URL || made.Description != "one" || made.FilterTypes[0] != "order.made" || made.Channels[0] != "eu" || *made.RateLimit != 50 || *made.Disabled {
		t.Errorf("made %+v", made)
	}
	got, err := c.Endpoint.Get(ctx, app.Id, made.Id)
	if must(t, got, err); !reflect.DeepEqual(got, made) {
		t.Errorf("read %+v, made %+v", got, made)
	}
	headers, err := c.Endpoint.GetHeaders(ctx, app.Id, made.Id)
	if must(t, headers, err).Headers["X-One"] != "1" {
		t.Errorf("the headers are %v", headers.Headers)
	}
	done(t, c.Endpoint.UpdateHeaders(ctx, app.Id, made.Id, models.EndpointHeadersIn{Headers: map[string]string{"X-Two": "2", "Authorization": "x"}}))
	headers, err = c.Endpoint.GetHeaders(ctx, app.Id, made.Id)
	if must(t, headers, err); !reflect.DeepEqual(headers.Headers, map[string]string{"X-Two": "2"}) || !reflect.DeepEqual(headers.Sensitive, []string{"Authorization"}) {
		t.Errorf("the headers are %+v", headers)
	}
	patched, err := c.Endpoint.Patch(ctx, app.Id, made.Id, models.EndpointPatch{Description: pointer("two")})
	if must(t, patched, err).Description != "two" || len(patched.FilterTypes) != 1 || *patched.RateLimit != 50 {
		t.Errorf("patched %+v", patched)
	}
	put, err := c.Endpoint.Update(ctx, app.Id, made.Id, models.EndpointUpdate{Url: to.URL})
	if must(t, put, err).Description != "" || len(put.FilterTypes) != 0 || put.RateLimit != nil {
		t.Errorf("put %+v", put)
	}
	list, err := c.Endpoint.List(ctx, app.Id, nil)
	if must(t, list, err); len(list.Data) != 1 || list.Data[0].Id != made.Id || !list.Done {
		t.Errorf("listed %+v", list)
	}
	done(t, c.Endpoint.Delete(ctx, app.Id, made.Id))
	_, err = c.Endpoint.Get(ctx, app.Id, made.Id)
	refused(t, err, http.StatusNotFound)
}

func TestMessageIsDeliveredSignedListedAndResent(t *testing.T) {
	t.Parallel()
	ctx, c := context.Background(), owner(t)
	app, to := application(t, c), newHook(t)
	endpoint, err := c.Endpoint.Create(ctx, app.Id, models.EndpointIn{Url: to.URL}, nil)
	must(t, endpoint, err)
	secret, err := c.Endpoint.GetSecret(ctx, app.Id, endpoint.Id)
	must(t, secret, err)
	payload := map[string]any{"text": "grüße", "list": []any{1.0, nil}}
	in := models.MessageIn{EventType: "order.made", EventId: pointer("order-1"), Payload: payload}
	key := &svix.MessageCreateOptions{IdempotencyKey: pointer(fresh("key"))}
	message, err := c.Message.Create(ctx, app.Id, in, key)
	must(t, message, err)
	again, err := c.Message.Create(ctx, app.Id, in, key)
	if must(t, again, err).Id != message.Id {
		t.Errorf("the same request again made %s, not %s", again.Id, message.Id)
	}
	_, err = c.Message.Create(ctx, app.Id, in, nil)
	refused(t, err, http.StatusConflict)
	if r := to.came(1)[0]; !verifies(t, secret.Key, r) || r.Headers[env(t, "SIGPOST_HEADERS")+"-id"] != message.Id {
		t.Errorf("it does not verify: %v", r.Headers)
	}
	got, err := c.Message.Get(ctx, app.Id, "order-1", &svix.MessageGetOptions{WithContent: pointer(true)})
	if must(t, got, err); got.Id != message.Id || !reflect.DeepEqual(got.Payload, payload) {
		t.Errorf("read %+v", got)
	}
	attempts(t, c, app.Id, message.Id, models.MESSAGEATTEMPTTRIGGERTYPE_SCHEDULED)
	sent, err := c.MessageAttempt.Resend(ctx, app.Id, message.Id, endpoint.Id, nil)
	must(t, sent, err)
	if r := to.came(2)[1]; !verifies(t, secret.Key, r) {
		t.Errorf("what was resent does not verify: %v", r.Headers)
	}
	attempts(t, c, app.Id, message.Id, models.MESSAGEATTEMPTTRIGGERTYPE_MANUAL, models.MESSAGEATTEMPTTRIGGERTYPE_SCHEDULED)
	messages, err := c.MessageAttempt.ListAttemptedMessages(ctx, app.Id, endpoint.Id, nil)
	if must(t, messages, err); len(messages.Data) != 1 || messages.Data[0].Id != message.Id || messages.Data[0].Status != models.MESSAGESTATUS_SUCCESS {
		t.Errorf("the endpoint's messages are %+v", messages.Data)
	}
	destinations, err := c.MessageAttempt.ListAttemptedDestinations(ctx, app.Id, message.Id, nil)
	if must(t, destinations, err); len(destinations.Data) != 1 || destinations.Data[0].Id != endpoint.Id || destinations.Data[0].Status != models.MESSAGESTATUS_SUCCESS {
		t.Errorf("the message's endpoints are %+v", destinations.Data)
	}
}

// attempts waits for the attempts of a message, all successes, by what began
// each, the newest first; and finds the same by their endpoint and by their ids.
func attempts(t *testing.T, c *svix.Svix, app, message string, triggers ...models.MessageAttemptTriggerType) {
	t.Helper()
	ctx := context.Background()
	eventually(t, func() bool {
		list, err := c.MessageAttempt.ListByMsg(ctx, app, message, nil)
		return len(must(t, list, err).Data) == len(triggers)
	})
	list, err := c.MessageAttempt.ListByMsg(ctx, app, message, nil)
	must(t, list, err)
	for i, a := range list.Data {
		if a.Status != models.MESSAGESTATUS_SUCCESS || a.StatusText != models.MESSAGESTATUSTEXT_SUCCESS || a.ResponseStatusCode != 200 || a.TriggerType != triggers[i] || a.MsgId != message {
			t.Errorf("attempt %d is %+v", i, a)
		}
		one, err := c.MessageAttempt.Get(ctx, app, message, a.Id, nil)
		if must(t, one, err).Response != "answered 200" {
			t.Errorf("attempt %d read by its id is %+v", i, one)
		}
		byEndpoint, err := c.MessageAttempt.ListByEndpoint(ctx, app, a.EndpointId, &svix.MessageAttemptListByEndpointOptions{EventTypes: &[]string{"x.y", "order.made"}})
		if must(t, byEndpoint, err); len(byEndpoint.Data) <= i || byEndpoint.Data[i].Id != a.Id {
			t.Errorf("by endpoint the attempts are %+v", byEndpoint.Data)
		}
	}
}

func TestSecretIsRotatedWithBothInForce(t *testing.T) {
	t.Parallel()
	ctx, c := context.Background(), owner(t)
	app, to := application(t, c), newHook(t)
	old := "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
	endpoint, err := c.Endpoint.Create(ctx, app.Id, models.EndpointIn{Url: to.URL, Secret: &old}, nil)
	must(t, endpoint, err)
	done(t, c.Endpoint.RotateSecret(ctx, app.Id, endpoint.Id, models.EndpointSecretRotateIn{}, nil))
	fresh, err := c.Endpoint.GetSecret(ctx, app.Id, endpoint.Id)
	if must(t, fresh, err).Key == old {
		t.Error("the secret is the old one")
	}
	message, err := c.Message.Create(ctx, app.Id, models.MessageIn{EventType: "a.b", Payload: map[string]any{}}, nil)
	must(t, message, err)
	if r := to.came(1)[0]; !verifies(t, old, r) || !verifies(t, fresh.Key, r) {
		t.Errorf("it does not verify with both: %v", r.Headers)
	}
}

func TestRecoverSendsWhatFailedAgain(t *testing.T) {
	t.Parallel()
	ctx, c := context.Background(), owner(t)
	app, to := application(t, c), newHook(t)
	endpoint, err := c.Endpoint.Create(ctx, app.Id, models.EndpointIn{Url: to.URL}, nil)
	must(t, endpoint, err)
	to.answer(http.StatusGone) // ends the delivery, and the endpoint
	message, err := c.Message.Create(ctx, app.Id, models.MessageIn{EventType: "a.b", Payload: map[string]any{}}, nil)
	must(t, message, err)
	eventually(t, func() bool {
		e, err := c.Endpoint.Get(ctx, app.Id, endpoint.Id)
		stats, err2 := c.Endpoint.GetStats(ctx, app.Id, endpoint.Id, nil)
		return *must(t, e, err).Disabled && must(t, stats, err2).Fail == 1
	})
	to.answer(http.StatusOK)
	enabled, err := c.Endpoint.Patch(ctx, app.Id, endpoint.Id, models.EndpointPatch{Disabled: pointer(false)})
	must(t, enabled, err)
	task, err := c.Endpoint.Recover(ctx, app.Id, endpoint.Id, models.RecoverIn{Since: time.Now().Add(-time.Hour)}, nil)
	must(t, task, err)
	to.came(2)
	eventually(t, func() bool {
		now, err := c.BackgroundTask.Get(ctx, task.Id)
		return must(t, now, err).Status == models.BACKGROUNDTASKSTATUS_FINISHED && now.Task == models.BACKGROUNDTASKTYPE_ENDPOINT_RECOVER
	})
}
