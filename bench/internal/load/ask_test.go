package load

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// lists serves handler and asks it for paths.
func lists(t *testing.T, handler http.HandlerFunc, paths ...string) Asking {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	return Asking{Addr: strings.TrimPrefix(srv.URL, "http://"), Token: "t0ken", Paths: paths, Connections: 2}
}

func TestRoundAsksForEveryListAndCountsItsRows(t *testing.T) {
	t.Parallel()
	var asked [3]atomic.Int32
	opt := lists(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t0ken" || r.Method != http.MethodGet {
			t.Errorf("%s with %v", r.Method, r.Header)
		}
		n := int(r.URL.Query().Get("n")[0] - '0')
		asked[n].Add(1)
		io.WriteString(w, `{"data":[`+strings.Repeat(`{},`, n)+`{}],"done":true}`)
	}, "/list?n=0", "/list?n=1", "/list?n=2")
	got, err := Round(t.Context(), opt, 0) // over at once, but once for each
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range got {
		if a.Rows != i+1 || !a.Done || len(a.Took) == 0 || len(a.Took) != int(asked[i].Load()) || a.Took[0] <= 0 {
			t.Errorf("list %d: %d rows, took %v, asked for %d times", i, a.Rows, a.Took, asked[i].Load())
		}
	}
}

func TestRoundTakesTheFewestRows(t *testing.T) {
	t.Parallel()
	askers := []*asker{
		{asked: []Asked{{Took: []time.Duration{1}, Rows: 7, Done: true}}},
		{asked: []Asked{{}}}, // it never asked
		{asked: []Asked{{Took: []time.Duration{2, 3}, Rows: 5}}},
	}
	if got := together(askers, 1)[0]; got.Rows != 5 || got.Done || len(got.Took) != 3 {
		t.Errorf("got %+v", got)
	}
}

func TestRoundEndsWithAnAnswerThatIsNoList(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		`{"detail":"no such type"}`: "/list was answered 422, want 200: {\"detail\":\"no such type\"}",
		`{}`:                        "read /list: it has no data",
		`not JSON`:                  "read /list: invalid character",
	} {
		opt := lists(t, func(w http.ResponseWriter, _ *http.Request) {
			if strings.Contains(answer, "detail") {
				w.WriteHeader(http.StatusUnprocessableEntity)
			}
			io.WriteString(w, answer)
		}, "/list")
		if _, err := Round(t.Context(), opt, time.Minute); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", answer, err, want)
		}
	}
}

func TestMessagesComeWithTokenAndKeyAndAreAcceptedWith202(t *testing.T) {
	t.Parallel()
	keys := make(chan string, 10)
	opt := target(t, 10, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t0ken" || r.Header.Get("X-Hmac-Signature") != "" {
			t.Errorf("headers %v", r.Header)
		}
		keys <- r.Header.Get("Idempotency-Key")
		w.WriteHeader(http.StatusAccepted)
	})
	opt.Token = "t0ken"
	got, err := Closed(t.Context(), opt, time.Minute)
	if err != nil || len(got.Accepted) != 10 {
		t.Fatalf("%d accepted, %v", len(got.Accepted), err)
	}
	close(keys)
	seen := map[string]bool{}
	for key := range keys {
		seen[key] = true
	}
	if len(seen) != 10 {
		t.Errorf("%d different keys", len(seen))
	}
}
