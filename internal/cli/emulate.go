package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/provider"
	"github.com/sigpost/sigpost/signature"
)

// emulation sends events as a provider does.
type emulation struct {
	provider   *provider.Definition
	sample     provider.Sample
	ids        []string          // in the sample, to be replaced by fresh ones
	signer     *signature.Signer // nil when the provider signs nothing
	to         string
	header     http.Header // the user's, over all others
	authClient string
	same       bool
	client     *http.Client
	agent      string
}

// emulated is one event, ready to be sent any number of times.
type emulated struct {
	number   int
	kind     string // its event type, which --set may have changed
	id       string // its event id; empty when the provider sends none
	signedID string // what the scheme signs as its id
	header   http.Header
	body     []byte
}

// errNotDistinct is what event says when it can only repeat itself.
var errNotDistinct = errors.New("the sample has neither an id nor a time that would tell one event from another")

// event makes the number-th event. With errNotDistinct comes the event as it is.
func (e *emulation) event(number int) (*emulated, error) {
	var err error
	v := &emulated{number: number, header: e.sample.Header.Clone(), body: e.sample.Body}
	if v.header == nil {
		v.header = http.Header{}
	}
	if !e.same {
		v.body = provider.FreshIDs(v.body, e.ids)
	}
	inHeader := e.addIDs(v)
	if !e.same && !inHeader && len(e.ids) == 0 {
		if changed := freshTime(e.provider, v.body); changed != nil {
			v.body = changed
		} else {
			err = errNotDistinct
		}
	}
	v.header.Set("User-Agent", e.agent)
	if e.authClient != "" {
		v.header.Set(e.provider.AuthClientHeader, e.authClient)
	}
	known := v.header.Clone()
	overwrite(known, e.header)
	event := e.provider.Classify(known, v.body)
	v.kind, v.id = event.Type, event.ID
	return v, err
}

// addIDs gives v an event id where the provider has one in a header, and says whether it did.
func (e *emulation) addIDs(v *emulated) bool {
	signed := e.provider.Scheme.IDHeader
	if signed != "" {
		if v.signedID = e.header.Get(signed); v.signedID == "" {
			v.signedID = provider.HeaderID(provider.MessageForm, v.body, e.same)
		}
		v.header.Set(signed, v.signedID)
		return true
	}
	for _, place := range e.provider.ID {
		if place.Header != "" {
			v.header.Set(place.Header, provider.HeaderID("", v.body, e.same))
			return true
		}
	}
	return false
}

// overwrite puts the headers of over in place of those of the same names.
func overwrite(header, over http.Header) {
	for name, values := range over {
		header[name] = slices.Clone(values)
	}
}

// sent is what came of one attempt.
type sent struct {
	Event   int     `json:"event"`
	Type    string  `json:"type"`
	ID      string  `json:"id,omitempty"`
	Attempt int     `json:"attempt"`
	Status  int     `json:"status"` // 0 when no answer came
	Millis  float64 `json:"millis"`
	Taken   bool    `json:"taken"`
	Reason  string  `json:"reason,omitempty"` // why it was not taken
	Answer  string  `json:"answer"`           // the beginning of the body
	RetryIn string  `json:"retryIn,omitempty"`
}

// keptAnswer is how much of an answer is read, in bytes.
const keptAnswer = 4 << 10

// attempt posts v once.
func (e *emulation) attempt(ctx context.Context, v *emulated, number int) sent {
	s := sent{Event: v.number, Type: v.kind, ID: v.id, Attempt: number}
	timeout := hook.DefaultTimeout
	if e.provider.Send != nil && e.provider.Send.Timeout > 0 {
		timeout = e.provider.Send.Timeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	begun := time.Now()
	err := e.exchange(ctx, v, begun, &s)
	s.Millis = float64(time.Since(begun).Microseconds()) / 1000
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		s.Status, s.Reason = 0, fmt.Sprintf("no whole answer within %s", timeout)
	case err != nil:
		s.Status, s.Reason = 0, err.Error()
	default:
		s.Taken, s.Reason = e.taken(s.Status)
	}
	return s
}

// exchange signs v for the present moment, posts it and reads the answer.
func (e *emulation) exchange(ctx context.Context, v *emulated, now time.Time, s *sent) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.to, bytes.NewReader(v.body))
	if err != nil {
		return err
	}
	req.Header = v.header.Clone()
	if e.signer != nil {
		fields, err := e.signer.Sign(signature.Content{ID: v.signedID, Timestamp: now, Method: req.Method, URL: e.to, Body: v.body})
		if err != nil {
			return fmt.Errorf("sign: %w", err)
		}
		for i, f := range fields {
			if i == 0 || f.Name != fields[i-1].Name {
				req.Header.Del(f.Name)
			}
			req.Header.Add(f.Name, f.Value)
		}
	}
	overwrite(req.Header, e.header)
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	res, err := e.client.Do(req)
	if err != nil {
		if inner := errors.Unwrap(err); inner != nil {
			err = inner // the URL is known, and may hold a token
		}
		return err
	}
	defer res.Body.Close()
	s.Status = res.StatusCode
	answer, err := io.ReadAll(io.LimitReader(res.Body, keptAnswer))
	s.Answer = string(bytes.ToValidUTF8(answer, []byte("\uFFFD")))
	return err
}

// taken says whether the provider takes the status for "received", and if not, why.
func (e *emulation) taken(status int) (bool, string) {
	var wanted []int
	if e.provider.Send != nil {
		wanted = e.provider.Send.Success
	}
	switch {
	case len(wanted) > 0 && slices.Contains(wanted, status), len(wanted) == 0 && status >= 200 && status <= 299:
		return true, ""
	case status >= 300 && status <= 399:
		return false, "redirects are not followed"
	case len(wanted) == 1:
		return false, fmt.Sprintf("%s takes only %d for success", e.provider.Title, wanted[0])
	case len(wanted) > 1:
		return false, fmt.Sprintf("%s takes only %v for success", e.provider.Title, wanted)
	}
	return false, fmt.Sprintf("%s takes only 2xx for success", e.provider.Title)
}

// retryWait is how long the provider waits after the failures-th failed
// attempt, or false when it gives up. elapsed is the time since the first one.
func retryWait(p *provider.SendPolicy, failures int, elapsed time.Duration) (time.Duration, bool) {
	var own provider.SendPolicy
	if p != nil {
		own = *p
	}
	if len(own.Schedule) == 0 && own.Interval == 0 {
		// Its waits are not published: those of the Standard Webhooks specification.
		own.Schedule = hook.RetryWaits()
	}
	wait := own.Interval
	if failures <= len(own.Schedule) {
		wait = own.Schedule[failures-1]
	}
	if wait == 0 || own.Window > 0 && elapsed+wait > own.Window {
		return 0, false
	}
	return wait, !own.NoRetry
}

// statusWords is a status as people read it.
func statusWords(status int) string {
	if status == 0 {
		return "no answer"
	}
	if text := http.StatusText(status); text != "" {
		return strconv.Itoa(status) + " " + text
	}
	return strconv.Itoa(status)
}
