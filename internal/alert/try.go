package alert

import (
	"context"
	"errors"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// testData is what a test webhook says.
type testData struct {
	Text string `json:"text"`
}

// tryEvery is how often a test may be sent: it goes to people.
const tryEvery = 5 * time.Second

// Try sends a test alert of an organization on every way there is, whatever
// alerts each of them asks for, and says what came of it. A webhook is only kept
// when it returns; its message tells whether it arrived.
func (a *Alerts) Try(ctx context.Context, org hook.Key) (tries []hook.AlertTry, err error) {
	if !a.mayTry(time.Now()) {
		return nil, hook.Errorf(hook.CodeConflict, "a test was sent a moment ago; wait some seconds")
	}
	const text = "This is a test: alerts arrive here."
	x := hook.Alert{
		Kind: hook.AlertTest, Org: org, At: time.Now(), About: a.IDs.Public(hook.KindOrganization, org), Name: "test", Title: "A test of alerts",
		Why: text, Data: testData{text},
	}
	a.write(ctx, &x)
	tries = append(tries, hook.AlertTry{Way: "log"})
	if a.Mail != nil {
		tries = append(tries, hook.AlertTry{Way: "email", To: a.Mail.To(), Err: a.Mail.Try(ctx, x)})
	}
	app, err := a.operationalApp(ctx, org)
	if err != nil || app == 0 {
		return tries, err
	}
	endpoints, err := a.Store.EndpointsOf(ctx, app)
	if err != nil {
		return tries, err
	}
	for i := range endpoints {
		tries = append(tries, a.tryEndpoint(ctx, &x, &endpoints[i]))
	}
	return tries, nil
}

func (a *Alerts) mayTry(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.tried) < tryEvery {
		return false
	}
	a.tried = now
	return true
}

func (a *Alerts) tryEndpoint(ctx context.Context, x *hook.Alert, e *hook.Endpoint) hook.AlertTry {
	try := hook.AlertTry{Way: "webhook", To: e.Label(), Endpoint: e.ID}
	if e.State != hook.Enabled {
		try.Err = hook.Errorf(hook.CodeConflict, "the endpoint is %s; enable it", e.State)
		return try
	}
	receipt, err := a.send(ctx, x, e.App, e.ID)
	switch {
	case err != nil:
		try.Err = err
	case receipt.Deliveries == 0:
		try.Err = errors.New("no server runs that would send it; start it and try again")
	}
	try.Message = receipt.Message
	return try
}
