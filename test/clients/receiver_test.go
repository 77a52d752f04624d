package clients_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// receiver takes webhooks for the clients, which run in processes of their own:
// ANY /hook/{name} records a request and answers as it was told to;
// GET /recorded/{name}?n=2 answers with what came, as soon as it is two;
// PUT /answer/{name}/{status} says how /hook/{name} answers from now on.
type receiver struct {
	mu      sync.Mutex
	got     map[string][]recorded
	answers map[string]int
	changed chan struct{} // closed when something came
}

// recorded is a request that came. The body is as it was, in base64.
type recorded struct {
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"body"`
}

func newReceiver(t *testing.T) (url string) {
	t.Helper()
	r := &receiver{got: map[string][]recorded{}, answers: map[string]int{}, changed: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("/hook/{name}", r.hook)
	mux.HandleFunc("GET /recorded/{name}", r.recorded)
	mux.HandleFunc("PUT /answer/{name}/{status}", r.answer)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

func (r *receiver) hook(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // who sent it went away
	}
	x := recorded{Headers: map[string]string{}, Body: body}
	for name, values := range req.Header {
		x.Headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	name := req.PathValue("name")
	r.mu.Lock()
	r.got[name] = append(r.got[name], x)
	status, told := r.answers[name]
	close(r.changed)
	r.changed = make(chan struct{})
	r.mu.Unlock()
	if !told {
		status = http.StatusOK
	}
	w.WriteHeader(status)
	fmt.Fprintf(w, "answered %d", status)
}

func (r *receiver) recorded(w http.ResponseWriter, req *http.Request) {
	least, err := strconv.Atoi(req.FormValue("n"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	late := time.After(patience / 2) // the client gives up later
	for {
		r.mu.Lock()
		list, changed := r.got[req.PathValue("name")], r.changed
		r.mu.Unlock()
		if len(list) >= least {
			list = append([]recorded{}, list...)
			w.Header().Set("Content-Type", "application/json")
			if err := json.NewEncoder(w).Encode(list); err != nil {
				return // the client went away
			}
			return
		}
		select {
		case <-changed:
		case <-req.Context().Done():
			return
		case <-late:
			http.Error(w, fmt.Sprintf("%d requests came, not %d", len(list), least), http.StatusGatewayTimeout)
			return
		}
	}
}

func (r *receiver) answer(w http.ResponseWriter, req *http.Request) {
	status, err := strconv.Atoi(req.PathValue("status"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[req.PathValue("name")] = status
}
