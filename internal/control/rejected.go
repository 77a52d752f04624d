package control

import (
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/signature"
)

// Rejected is a rejected request as people see it.
type Rejected struct {
	ID          string    `json:"id"`
	Source      string    `json:"source"`
	Reason      string    `json:"reason"`
	ReceivedAt  time.Time `json:"receivedAt"`
	Remote      string    `json:"remote"`
	Method      string    `json:"method"`
	URL         string    `json:"url"`
	Size        int       `json:"size"`
	Kept        int       `json:"kept"` // bytes of the body that were kept
	Quarantined bool      `json:"quarantined"`
	// Accepted is the message that it became.
	Accepted    string              `json:"accepted,omitempty"`
	Headers     []hook.Header       `json:"headers,omitempty"`
	Body        string              `json:"body,omitempty"`
	BodyBase64  []byte              `json:"bodyBase64,omitempty"`
	Explanation []signature.Finding `json:"explanation,omitempty"`
	// ValidNow says that it verifies with the secrets that the source has now.
	ValidNow bool `json:"validNow"`
}

// Accepted is what became of a rejected request that was let in.
type Accepted struct {
	Message    string `json:"message"`
	Duplicate  bool   `json:"duplicate"`
	Deliveries int    `json:"deliveries"`
}

func (a *api) listRejected(r *http.Request) (any, error) {
	ctx := r.Context()
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	before, err := a.cursor(r, hook.KindRejected)
	if err != nil {
		return nil, err
	}
	s, err := a.source(ctx, r.URL.Query().Get("source"))
	if err != nil {
		return nil, err
	}
	var source hook.Key
	if s != nil {
		source = s.ID
	}
	found, err := a.Store.ListRejected(ctx, source, before, limit)
	if err != nil {
		return nil, err
	}
	n, err := a.names(ctx)
	if err != nil {
		return nil, err
	}
	list := List[Rejected]{Data: []Rejected{}}
	for i := range found {
		list.Data = append(list.Data, a.rejected(n, &found[i]))
	}
	if len(found) == limit {
		list.Next = list.Data[len(list.Data)-1].ID
	}
	return list, nil
}

func (a *api) rejected(n *names, r *hook.Rejected) Rejected {
	ids := a.Store.IDs()
	v := Rejected{
		ID: ids.Public(hook.KindRejected, r.ID), Source: n.sourceByKey(r.Source), Reason: r.Reason, ReceivedAt: r.ReceivedAt, Remote: r.Remote,
		Method: r.Method, URL: r.URL, Size: r.Size, Quarantined: r.Quarantined, Headers: r.Headers,
	}
	if r.Accepted != 0 {
		v.Accepted = ids.Public(hook.KindMessage, r.Accepted)
	}
	return v
}

// showRejected explains, on demand and never at intake, why a request did not verify.
func (a *api) showRejected(r *http.Request) (any, error) {
	rej, err := a.findRejected(r)
	if err != nil {
		return nil, err
	}
	n, err := a.names(r.Context())
	if err != nil {
		return nil, err
	}
	v := a.rejected(n, rej)
	v.Kept = len(rej.Body)
	if utf8.Valid(rej.Body) {
		v.Body = string(rej.Body)
	} else {
		v.BodyBase64 = rej.Body
	}
	why, err := a.Intake.Explain(rej)
	if err != nil {
		v.Explanation = []signature.Finding{{Code: "no-source", Message: err.Error()}}
		return v, nil
	}
	v.ValidNow, v.Explanation = why.Valid && rej.Whole(), why.Findings
	if other := otherReasons[rej.Reason]; why.Valid && other != "" {
		v.Explanation = append(v.Explanation, signature.Finding{Code: rej.Reason, Message: other})
	}
	return v, nil
}

// otherReasons are why a request with a good signature was refused.
var otherReasons = map[string]string{
	"auth_client": "the signature is good, but the client key in its header was not the source's auth_client; the key was not kept, so accepting does not check it again",
	"flow_id":     "the signature is good, but the event is of another flow than the source's flow_id",
}

func (a *api) acceptRejected(r *http.Request) (any, error) {
	rej, err := a.findRejected(r)
	if err != nil {
		return nil, err
	}
	receipt, err := a.Intake.Readmit(r.Context(), rej)
	if err != nil {
		return nil, err
	}
	return Accepted{a.Store.IDs().Public(hook.KindMessage, receipt.Message), receipt.Duplicate, receipt.Deliveries}, nil
}

func (a *api) findRejected(r *http.Request) (*hook.Rejected, error) {
	k, err := a.Store.IDs().Key(hook.KindRejected, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return a.Store.Rejected(r.Context(), k)
}
