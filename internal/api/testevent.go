package api

import (
	"context"
	"net/http"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/signature"
)

// TestEvent is what became of a test event.
type TestEvent struct {
	Sample  string
	Receipt hook.Receipt
	Reason  string // why it was rejected; empty when it was not
	Why     signature.Explanation
}

// TestEventIn asks for a test event.
type TestEventIn struct {
	Sample *string `json:"sample,omitempty" minLength:"1" maxLength:"256" doc:"One of the provider's samples; the first when left out"`
}

// TestEventOut is what became of it.
type TestEventOut struct {
	Sample      string       `json:"sample"`
	Accepted    bool         `json:"accepted"`
	MsgID       *string      `json:"msgId,omitempty" doc:"The message that it became; its header sigpost-test says that it was a test"`
	Duplicate   bool         `json:"duplicate" doc:"The event was known already; msgId is the first one's"`
	Deliveries  int          `json:"deliveries"`
	Reason      *string      `json:"reason,omitempty" doc:"Why it was rejected"`
	Explanation []FindingOut `json:"explanation"`
}

func registerTestEvents(a *API) {
	register(a, operation{
		id: "ingest.source.test-event", method: http.MethodPost, path: "/ingest/api/v1/source/{source_id}/test-event",
		summary: "Take a sample in as if the provider had sent it", access: accessOrg,
	}, a.testEvent)
}

func (a *API) testEvent(ctx context.Context, in *struct {
	SourcePath
	Body TestEventIn
}) (*Body[TestEventOut], error) {
	x, err := a.source(ctx, in.SourceID)
	if err != nil {
		return nil, err
	}
	got, err := a.Runtime.TestEvent(ctx, x, value(in.Body.Sample))
	if hook.CodeOf(err) == hook.CodeInvalid {
		return nil, invalid(err.Error(), "body", "sample")
	}
	if err != nil {
		return nil, err
	}
	out := TestEventOut{Sample: got.Sample, Accepted: got.Reason == "", Duplicate: got.Receipt.Duplicate, Deliveries: got.Receipt.Deliveries, Reason: pointer(got.Reason), Explanation: []FindingOut{}}
	if got.Receipt.Message != 0 {
		out.MsgID = pointer(a.IDs.Public(hook.KindMessage, got.Receipt.Message))
	}
	for _, f := range got.Why.Findings {
		out.Explanation = append(out.Explanation, FindingOut{f.Code, f.Message, pointer(f.Fix)})
	}
	return answer(out), nil
}
