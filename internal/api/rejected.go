package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/signature"
)

// Intake decides about rejected requests.
type Intake interface {
	// Explain says why a request did not verify, by what its source is now.
	Explain(r *hook.Rejected) (signature.Explanation, error)
	// Readmit lets a request in that verifies now.
	Readmit(ctx context.Context, r *hook.Rejected) (hook.Receipt, error)
}

// RejectedPath names a rejected request in a path.
type RejectedPath struct {
	RejectedID string `path:"rejected_id" minLength:"1" maxLength:"64" doc:"The rejected request's id"`
}

// RejectedOut is a request that did not verify.
type RejectedOut struct {
	ID            string    `json:"id"`
	SourceID      string    `json:"sourceId"`
	Reason        string    `json:"reason" doc:"The class of the fault, for example mismatch"`
	ReceivedAt    time.Time `json:"receivedAt"`
	Remote        string    `json:"remote" doc:"The sender's address"`
	Method        string    `json:"method"`
	Size          int       `json:"size" doc:"Of the body, in bytes"`
	Quarantined   bool      `json:"quarantined" doc:"It was answered with 200 and waits for a decision"`
	AcceptedMsgID *string   `json:"acceptedMsgId,omitempty" nullable:"true" doc:"The message that it became"`
}

// RejectedDetailOut is a rejected request with why it did not verify.
type RejectedDetailOut struct {
	RejectedOut
	Headers     []RejectedHeaderOut `json:"headers"`
	Body        []byte              `json:"body" doc:"Its first 64 KiB, in base64"`
	Whole       bool                `json:"whole" doc:"All of the body was kept, so the request can be accepted"`
	ValidNow    bool                `json:"validNow" doc:"It verifies with the secrets that the source has now"`
	Explanation []FindingOut        `json:"explanation"`
}

// RejectedHeaderOut is a header line.
type RejectedHeaderOut struct {
	Name  string `json:"name"`
	Value string `json:"value" doc:"[redacted] when it may be a credential"`
}

// FindingOut is one thing that was found about a signature.
type FindingOut struct {
	Code    string  `json:"code"`
	Message string  `json:"message"`
	Fix     *string `json:"fix,omitempty"`
}

// RejectedAcceptOut is what became of a request that was let in.
type RejectedAcceptOut struct {
	MsgID      string `json:"msgId"`
	Duplicate  bool   `json:"duplicate" doc:"The event was known already; msgId is the first one's"`
	Deliveries int    `json:"deliveries"`
}

func registerRejected(a *API) {
	const all, one = "/api/v1/rejected", "/api/v1/rejected/{rejected_id}"
	register(a, operation{id: "rejected.list", method: http.MethodGet, path: all, summary: "List requests that did not verify, the newest first", access: accessOrgRead}, a.listRejected)
	register(a, operation{id: "rejected.get", method: http.MethodGet, path: one, summary: "Explain why a request did not verify", access: accessOrgRead}, a.readRejected)
	register(a, operation{id: "rejected.accept", method: http.MethodPost, path: one + "/accept", summary: "Let a request in that verifies now", access: accessOrg, status: http.StatusAccepted}, a.acceptRejected)
}

func (a *API) listRejected(ctx context.Context, in *struct {
	ListIn
	Source string `query:"source" maxLength:"256" doc:"Only those of this source: its id, uid or name"`
}) (*Body[ListOut[RejectedOut]], error) {
	if strings.HasPrefix(in.Iterator, backwards) {
		return nil, invalid("this list goes from the newest to the oldest only", "query", "iterator")
	}
	p, _, err := a.page(in.ListIn, hook.KindRejected, false)
	if err != nil {
		return nil, err
	}
	source, err := a.rejectingSource(ctx, in.Source)
	if err != nil {
		return nil, err
	}
	read := func(p hook.Page) ([]hook.Rejected, hook.Key, error) {
		rows, err := a.Store.ListRejected(ctx, source, p.After, p.Limit+1)
		rows, next := cut(rows, p.Limit, func(r *hook.Rejected) hook.Key { return r.ID })
		return rows, next, err
	}
	keep := func(rows []hook.Rejected) ([]hook.Rejected, error) {
		return slices.DeleteFunc(rows, func(r hook.Rejected) bool { return r.Org != caller(ctx).Org }), nil
	}
	rows, next, err := gather(p, func(r *hook.Rejected) hook.Key { return r.ID }, read, keep)
	if err != nil {
		return nil, err
	}
	out, keys := make([]RejectedOut, len(rows)), make([]hook.Key, len(rows))
	for i := range rows {
		out[i], keys[i] = a.rejectedOut(&rows[i]), rows[i].ID
	}
	list := listOut(a, hook.KindRejected, out, keys, next, in.ListIn, false)
	list.Body.PrevIterator = nil
	return list, nil
}

// rejectingSource is the source that a query names; 0 is any that the caller reaches.
func (a *API) rejectingSource(ctx context.Context, ref string) (hook.Key, error) {
	c := caller(ctx)
	var x hook.Source
	var err error
	switch {
	case ref == "" && c.App == 0:
		return 0, nil
	case ref == "":
		x, err = a.Store.SourceByApp(ctx, c.Org, c.App)
	case strings.HasPrefix(ref, string(hook.KindSource)):
		var k hook.Key
		if k, err = a.IDs.Key(hook.KindSource, ref); err == nil {
			x, err = a.Store.Source(ctx, c.Org, k)
		}
	default:
		if x, err = a.Store.SourceByUID(ctx, c.Org, ref); isNotFound(err) {
			x, err = a.sourceByName(ctx, c.Org, ref)
		}
	}
	if err == nil && !c.reaches(x.App) {
		err = hook.Errorf(hook.CodeNotFound, "there is no source %s", ref)
	}
	return x.ID, err
}

func (a *API) sourceByName(ctx context.Context, org hook.Key, name string) (hook.Source, error) {
	const step = 250
	page := hook.Page{Ascending: true, Limit: step}
	for {
		list, err := a.Store.ListSources(ctx, org, page)
		if err != nil {
			return hook.Source{}, err
		}
		if i := slices.IndexFunc(list, func(x hook.Source) bool { return x.Name == name }); i >= 0 {
			return list[i], nil
		}
		if len(list) < step {
			return hook.Source{}, hook.Errorf(hook.CodeNotFound, "there is no source with the id, uid or name %q", name)
		}
		page.After = list[step-1].ID
	}
}

func (a *API) rejectedOut(r *hook.Rejected) RejectedOut {
	out := RejectedOut{
		ID: a.IDs.Public(hook.KindRejected, r.ID), SourceID: a.IDs.Public(hook.KindSource, r.Source), Reason: r.Reason, ReceivedAt: when(r.ReceivedAt),
		Remote: r.Remote, Method: r.Method, Size: r.Size, Quarantined: r.Quarantined,
	}
	if r.Accepted != 0 {
		id := a.IDs.Public(hook.KindMessage, r.Accepted)
		out.AcceptedMsgID = &id
	}
	return out
}

// rejected finds a rejected request of the caller's organization.
func (a *API) rejected(ctx context.Context, id string) (*hook.Rejected, error) {
	k, err := a.IDs.Key(hook.KindRejected, id)
	if err != nil {
		return nil, err
	}
	r, err := a.Store.Rejected(ctx, k)
	if err != nil {
		return nil, err
	}
	c := caller(ctx)
	mine := r.Org == c.Org
	if mine && c.App != 0 {
		x, err := a.Store.Source(ctx, c.Org, r.Source)
		if err != nil && !isNotFound(err) {
			return nil, err
		}
		mine = err == nil && c.reaches(x.App)
	}
	if !mine {
		return nil, hook.Errorf(hook.CodeNotFound, "there is no rejected request %s; it may have made room for newer ones", id)
	}
	return r, nil
}

func (a *API) readRejected(ctx context.Context, in *struct{ RejectedPath }) (*Body[RejectedDetailOut], error) {
	r, err := a.rejected(ctx, in.RejectedID)
	if err != nil {
		return nil, err
	}
	const shown = 64 << 10
	out := RejectedDetailOut{RejectedOut: a.rejectedOut(r), Headers: []RejectedHeaderOut{}, Body: []byte{}, Whole: r.Whole(), Explanation: []FindingOut{}}
	out.Body = append(out.Body, r.Body[:min(len(r.Body), shown)]...)
	for _, h := range r.Headers {
		if hook.SensitiveHeader(h.Name) {
			h.Value = "[redacted]"
		}
		out.Headers = append(out.Headers, RejectedHeaderOut(h))
	}
	why, err := a.Intake.Explain(r)
	if err != nil {
		out.Explanation = append(out.Explanation, FindingOut{Code: "no-source", Message: err.Error()})
		return answer(out), nil
	}
	out.ValidNow = why.Valid && r.Whole()
	for _, f := range why.Findings {
		out.Explanation = append(out.Explanation, FindingOut{f.Code, f.Message, pointer(f.Fix)})
	}
	if other := otherReason(r.Reason); why.Valid && other != "" {
		out.Explanation = append(out.Explanation, FindingOut{Code: r.Reason, Message: other})
	}
	return answer(out), nil
}

// otherReason is why a request with a good signature was refused; empty when it
// was the signature.
func otherReason(reason string) string {
	switch reason {
	case "auth_client":
		return "the signature is good, but the client key in its header was not the source's; the key was not kept, so accepting does not check it again"
	case "flow_id":
		return "the signature is good, but the event is of another flow than the source's"
	}
	return ""
}

func (a *API) acceptRejected(ctx context.Context, in *struct{ RejectedPath }) (*Body[RejectedAcceptOut], error) {
	r, err := a.rejected(ctx, in.RejectedID)
	if err != nil {
		return nil, err
	}
	receipt, err := a.Intake.Readmit(ctx, r)
	if err != nil {
		return nil, err
	}
	return answerWith(http.StatusAccepted, RejectedAcceptOut{a.IDs.Public(hook.KindMessage, receipt.Message), receipt.Duplicate, receipt.Deliveries}), nil
}
