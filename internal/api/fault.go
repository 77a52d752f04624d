package api

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sigpost/sigpost/internal/hook"
)

// HTTPErrorOut is every error but those of validation.
type HTTPErrorOut struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// HTTPValidationError is the answer to a request that does not have the right form.
type HTTPValidationError struct {
	Detail []ValidationError `json:"detail"`
}

// ValidationError is one fault of a request.
type ValidationError struct {
	Loc  []string `json:"loc" doc:"Where it is: body, query, path or header, then the field."`
	Msg  string   `json:"msg"`
	Type string   `json:"type"`
}

// fault is an error as it is written. It is the library's error type as well.
type fault struct {
	status int
	code   string
	detail string
	faults []ValidationError // of a 422
	// retryAfter is how long to wait before the request may be sent again.
	retryAfter time.Duration
}

func (f *fault) Error() string  { return f.detail }
func (f *fault) GetStatus() int { return f.status }

// GetHeaders says how to authenticate, and when to come again.
func (f *fault) GetHeaders() http.Header {
	h := http.Header{}
	if f.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if f.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(f.retryAfter.Seconds()))))
	}
	return h
}

// tooMany is a 429.
func tooMany(message string, wait time.Duration) error {
	f := newFault(http.StatusTooManyRequests, message)
	f.retryAfter = wait
	return f
}

// MarshalJSON writes one of the two forms that clients expect.
func (f *fault) MarshalJSON() ([]byte, error) {
	if f.status == http.StatusUnprocessableEntity {
		return json.Marshal(HTTPValidationError{f.faults})
	}
	return json.Marshal(HTTPErrorOut{f.code, f.detail})
}

// statusCodes are the words for statuses that have no code of ours.
var statusCodes = map[int]string{
	http.StatusBadRequest: "bad_request", http.StatusUnauthorized: "authentication_failed", http.StatusForbidden: "permission_denied",
	http.StatusNotFound: "not_found", http.StatusMethodNotAllowed: "method_not_allowed", http.StatusConflict: "conflict",
	http.StatusRequestEntityTooLarge: "payload_too_large", http.StatusUnsupportedMediaType: "unsupported_media_type",
	http.StatusTooManyRequests: "rate_limited", http.StatusServiceUnavailable: "unavailable",
}

// mostFaults is of how many faults of one request we tell.
const mostFaults = 100

// newFault makes an error of a status. Of the library's own details only places
// and messages are kept: its values may hold a secret.
func newFault(status int, message string, errs ...error) *fault {
	f := &fault{status: status, code: statusCodes[status], detail: message}
	if f.code == "" {
		f.code = "server_error"
	}
	for _, err := range errs {
		if len(f.faults) == mostFaults {
			break
		}
		if err == nil {
			continue
		}
		var d huma.ErrorDetailer
		if !errors.As(err, &d) {
			f.faults = append(f.faults, ValidationError{[]string{"body"}, err.Error(), "value_error"})
			continue
		}
		f.faults = append(f.faults, validation(d.ErrorDetail()))
	}
	switch {
	case status == http.StatusUnprocessableEntity && len(f.faults) == 0:
		f.faults = []ValidationError{{[]string{"body"}, message, "value_error"}}
	case status == http.StatusBadRequest && len(f.faults) > 0:
		f.detail = "the body is not JSON: " + f.faults[0].Msg
	case status == http.StatusRequestEntityTooLarge && strings.Contains(message, "limit="): // the library's words
		f.detail = "the request is too large: a payload has at most 1 MiB"
	case status == http.StatusUnsupportedMediaType:
		f.detail = "send application/json"
	}
	return f
}

// location splits "body.eventTypes[0]" into its parts.
func location(text string) []string {
	parts := strings.FieldsFunc(text, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
	if len(parts) == 0 {
		return []string{"body"}
	}
	return parts
}

// validation is one fault in our words. The library names a field that is
// missing in the message only.
func validation(d *huma.ErrorDetail) ValidationError {
	loc := location(d.Location)
	if rest, ok := strings.CutPrefix(d.Message, "expected required property "); ok {
		name, _, _ := strings.Cut(rest, " ")
		return ValidationError{append(loc, name), "field required", "value_error.missing"}
	}
	switch {
	case strings.Contains(d.Message, "pattern") && len(loc) > 2 && loc[1] == "eventTypes":
		d.Message += "; wildcards go into eventTypePatterns"
	case strings.Contains(d.Message, "2006-01-02"):
		d.Message = "is not a time like 2026-01-31T12:00:00Z"
	case strings.Contains(d.Message, "strconv."):
		d.Message = "is not a number as it is wanted here"
	}
	return ValidationError{loc, d.Message, "value_error"}
}

// invalid is a 422 about one field, for example invalid("is taken", "body", "uid").
func invalid(message string, loc ...string) error {
	return &fault{status: http.StatusUnprocessableEntity, detail: message, faults: []ValidationError{{loc, message, "value_error"}}}
}

// statuses are the HTTP statuses of our error codes.
var statuses = map[hook.Code]int{
	hook.CodeInvalid: http.StatusUnprocessableEntity, hook.CodeNotFound: http.StatusNotFound, hook.CodeConflict: http.StatusConflict, hook.CodeStale: http.StatusConflict,
	hook.CodeTooLarge: http.StatusRequestEntityTooLarge, hook.CodeUnavailable: http.StatusServiceUnavailable,
	hook.CodeDenied: http.StatusForbidden, hook.CodeUnknown: http.StatusUnauthorized,
}

// faultOf is err as it is written. internal says that it is a fault of ours,
// which is told outside without detail.
func faultOf(err error) (f *fault, internal bool) {
	if errors.As(err, &f) {
		return f, false
	}
	e, known := errors.AsType[*hook.Error](err)
	if status := statuses[hook.CodeOf(err)]; known && status != 0 {
		f := newFault(status, e.Message)
		return f, status == http.StatusServiceUnavailable
	}
	if errors.Is(err, context.Canceled) {
		return newFault(http.StatusServiceUnavailable, "the request was given up"), false
	}
	return newFault(http.StatusServiceUnavailable, "something went wrong here; try again"), true
}

// told is err for the library, logged when it is a fault of ours.
func (a *API) told(ctx context.Context, op *huma.Operation, err error) error {
	f, internal := faultOf(err)
	if internal {
		a.Log.ErrorContext(ctx, "request failed", "method", op.Method, "path", op.Path, "error", err)
	}
	return f
}

// fail writes an error outside of any operation.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	f, internal := faultOf(err)
	if internal {
		a.Log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	maps.Copy(w.Header(), f.GetHeaders())
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(f.status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(f); err != nil {
		a.Log.Debug("answer not written", "path", r.URL.Path, "error", err)
	}
}

// errorsOf are the statuses that an operation may fail with.
func errorsOf(op operation) []int {
	switch op.access {
	case accessOpen:
		return []int{http.StatusServiceUnavailable}
	case accessSignIn:
		return []int{
			http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
			http.StatusTooManyRequests, http.StatusServiceUnavailable,
		}
	}
	list := []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnprocessableEntity, http.StatusServiceUnavailable}
	if op.method == http.MethodGet {
		return list
	}
	return append(list, http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusTooManyRequests)
}

// document writes the errors of an operation, and its other success, into the
// OpenAPI document.
func (a *API) document(h *huma.Operation, op operation) {
	item := a.huma.OpenAPI().Paths[h.Path]
	var o *huma.Operation
	switch h.Method {
	case http.MethodGet:
		o = item.Get
	case http.MethodPost:
		o = item.Post
	case http.MethodPut:
		o = item.Put
	case http.MethodPatch:
		o = item.Patch
	case http.MethodDelete:
		o = item.Delete
	}
	registry := a.huma.OpenAPI().Components.Schemas
	plain, listed := schemaOf[HTTPErrorOut](registry), schemaOf[HTTPValidationError](registry)
	delete(o.Responses, "500")
	delete(o.Responses, "default")
	for _, status := range errorsOf(op) {
		schema := plain
		if status == http.StatusUnprocessableEntity {
			schema = listed
		}
		o.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status), Content: map[string]*huma.MediaType{"application/json": {Schema: schema}},
		}
	}
	if len(op.files) > 0 {
		text := &huma.Schema{Type: huma.TypeString}
		success := o.Responses[strconv.Itoa(h.DefaultStatus)]
		success.Content = map[string]*huma.MediaType{}
		for _, kind := range op.files {
			success.Content[kind] = &huma.MediaType{Schema: text}
		}
	}
	if op.also != 0 {
		o.Responses[strconv.Itoa(op.also)] = o.Responses[strconv.Itoa(h.DefaultStatus)]
	}
}
