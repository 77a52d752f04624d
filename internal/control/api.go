// Package control answers the command line: over a Unix socket while the server
// runs, and within the process when the data directory is opened without one.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/signature"
)

// Store is what the API reads and writes.
type Store interface {
	IDs() *hook.IDs
	ListMessages(ctx context.Context, f hook.MessageFilter) ([]hook.Message, error)
	Message(ctx context.Context, k hook.Key) (*hook.Message, error)
	Deliveries(ctx context.Context, m *hook.Message) ([]hook.Delivery, error)
	Attempts(ctx context.Context, d *hook.Delivery) ([]hook.Attempt, error)
	Resend(ctx context.Context, delivery hook.Key, now time.Time) error
	Deliver(ctx context.Context, d hook.Delivery) (hook.Key, error)
	ListRejected(ctx context.Context, source, before hook.Key, limit int) ([]hook.Rejected, error)
	Rejected(ctx context.Context, k hook.Key) (*hook.Rejected, error)
	Sources(ctx context.Context) ([]hook.Source, error)
	Endpoints(ctx context.Context) ([]hook.Endpoint, error)
}

// Intake decides about rejected requests.
type Intake interface {
	Explain(r *hook.Rejected) (signature.Explanation, error)
	Readmit(ctx context.Context, r *hook.Rejected) (hook.Receipt, error)
}

// Dispatcher is told what became due.
type Dispatcher interface {
	Due(endpoint hook.Key, at time.Time)
}

// Options of the API.
type Options struct {
	Store    Store
	Intake   Intake
	Dispatch Dispatcher
	// Secrets are the secrets with which an endpoint's requests are signed.
	Secrets func(ctx context.Context, e hook.Endpoint) ([]hook.Secret, error)
	// URL is where the provider of a source is to post to.
	URL func(s hook.Source) string
	Log *slog.Logger
}

type api struct{ Options }

// New makes the handler of the API.
func New(o Options) http.Handler {
	a := &api{o}
	mux := http.NewServeMux()
	for pattern, f := range map[string]func(*http.Request) (any, error){
		"GET /messages":              a.listMessages,
		"GET /messages/{id}":         a.showMessage,
		"POST /messages/{id}/resend": a.resendMessage,
		"GET /rejected":              a.listRejected,
		"GET /rejected/{id}":         a.showRejected,
		"POST /rejected/{id}/accept": a.acceptRejected,
		"GET /sources":               a.listSources,
		"GET /endpoints":             a.listEndpoints,
		"GET /endpoints/secret":      a.endpointSecret,
	} {
		mux.Handle(pattern, a.answer(f))
	}
	mux.Handle("/", a.answer(func(r *http.Request) (any, error) {
		return nil, hook.Errorf(hook.CodeNotFound, "there is nothing at %s %s", r.Method, r.URL.Path)
	}))
	return mux
}

// answer runs f and writes what it returns, or its error, as JSON.
func (a *api) answer(f func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := f(r)
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			status, body := a.fault(r, err)
			w.WriteHeader(status)
			v = body
		}
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			a.Log.Warn("answer not written", "path", r.URL.Path, "error", err)
		}
	})
}

// Fault is the body of every error.
type Fault struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// statuses are the HTTP statuses of error codes.
var statuses = map[hook.Code]int{
	hook.CodeInvalid: http.StatusUnprocessableEntity, hook.CodeNotFound: http.StatusNotFound, hook.CodeConflict: http.StatusConflict,
	hook.CodeTooLarge: http.StatusRequestEntityTooLarge, hook.CodeUnavailable: http.StatusServiceUnavailable,
}

func (a *api) fault(r *http.Request, err error) (int, Fault) {
	e, known := errors.AsType[*hook.Error](err)
	status := statuses[hook.CodeOf(err)]
	if !known || status == 0 {
		a.Log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		return http.StatusInternalServerError, Fault{string(hook.CodeInternal), "internal error; the log has it whole"}
	}
	return status, Fault{string(e.Code), e.Message}
}

// Bounds of a list.
const (
	defaultLimit = 50
	maxLimit     = 250
)

func limitOf(r *http.Request) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		return 0, hook.Errorf(hook.CodeInvalid, "limit: %q is not a number from 1 to %d", text, maxLimit)
	}
	return n, nil
}

// cursor is the key in the query parameter "before", 0 when there is none.
func (a *api) cursor(r *http.Request, kind hook.Kind) (hook.Key, error) {
	text := r.URL.Query().Get("before")
	if text == "" {
		return 0, nil
	}
	return a.Store.IDs().Key(kind, text)
}

// source finds a source by its name; nil when name is empty.
func (a *api) source(ctx context.Context, name string) (*hook.Source, error) {
	if name == "" {
		return nil, nil
	}
	sources, err := a.Store.Sources(ctx)
	if err != nil {
		return nil, err
	}
	for i := range sources {
		if sources[i].Name == name {
			return &sources[i], nil
		}
	}
	return nil, hook.Errorf(hook.CodeNotFound, "there is no source %q; `sigpost source list` shows those there are", name)
}
