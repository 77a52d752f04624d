package api

import (
	"context"
	"net/http"

	"github.com/sigpost/sigpost/internal/hook"
)

// AlertTestOut says what became of a test alert.
type AlertTestOut struct {
	Data []AlertTryOut `json:"data"`
}

// AlertTryOut is one way that a test alert took.
type AlertTryOut struct {
	Way        string  `json:"way" enum:"log,email,webhook"`
	To         *string `json:"to,omitempty" doc:"Who gets it"`
	EndpointID *string `json:"endpointId,omitempty" doc:"The operational endpoint that it is sent to"`
	MsgID      *string `json:"msgId,omitempty" doc:"The message that is on its way there"`
	Error      *string `json:"error,omitempty" doc:"Why it did not go"`
}

func registerAlerts(a *API) {
	register(a, operation{id: "alert.test", method: http.MethodPost, path: "/api/v1/alert/test", summary: "Send a test alert: to the log, by e-mail and to every operational endpoint", access: accessAdmin}, a.testAlerts)
}

func (a *API) testAlerts(ctx context.Context, _ *struct{}) (*Body[AlertTestOut], error) {
	tries, err := a.Alerts.Try(ctx, caller(ctx).Org)
	if err != nil {
		return nil, err
	}
	out := AlertTestOut{Data: make([]AlertTryOut, len(tries))}
	for i, t := range tries {
		o := AlertTryOut{Way: t.Way, To: pointer(t.To)}
		if t.Endpoint != 0 {
			o.EndpointID = pointer(a.IDs.Public(hook.KindEndpoint, t.Endpoint))
		}
		if t.Message != 0 {
			o.MsgID = pointer(a.IDs.Public(hook.KindMessage, t.Message))
		}
		if t.Err != nil {
			o.Error = pointer(t.Err.Error())
		}
		out.Data[i] = o
	}
	return answer(out), nil
}
