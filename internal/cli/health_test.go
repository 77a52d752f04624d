package cli

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/sigpost/sigpost/internal/config"
)

// answers is a server that answers one path with a status, and everything else with 404.
func answers(path string, status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		switch {
		case r.URL.Path != path:
			w.WriteHeader(http.StatusNotFound)
		case status < 300:
			w.WriteHeader(status)
		default:
			w.WriteHeader(status)
			io.WriteString(w, `{"code":"x","detail":"the store does not answer"}`)
		}
	})
}

func TestHealthAsksOverTheNetwork(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path   string
		status int
		asked  string
		code   int
		want   string
	}{
		"well":                 {"/health", 200, "", ExitOK, "ok\n"},
		"with a slash":         {"/health", 200, "/", ExitOK, "ok\n"},
		"on a path of its own": {"/behind/health", 200, "/behind/health", ExitOK, "ok\n"},
		"ill":                  {"/health", 503, "", ExitInvalid, "not well: the store does not answer"},
		"elsewhere":            {"/health", 301, "", ExitInvalid, "not well"},
		"something else":       {"/", 200, "", ExitInvalid, "not well"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(answers(c.path, c.status))
			defer srv.Close()
			r := sigpost(t, "health", "--url", srv.URL+c.asked)
			r.expect(t, c.code, c.want)
		})
	}
	sigpost(t, "health", "--url", "http://127.0.0.1:1").expect(t, ExitInvalid, "no server answers: dial tcp")
	sigpost(t, "health", "--url", "127.0.0.1:8080").expect(t, ExitUsage, "write it like http://127.0.0.1:8080")
	sigpost(t, "health", "--url", "http://127.0.0.1:1", "--data", "x").expect(t, ExitUsage, "either --url or --data")
	sigpost(t, "health", "--help").expect(t, ExitOK, "Examples:\n  sigpost health --data")
}

// The socket is asked, wherever it is said to be; a data directory is enough, even
// where the file has got a fault meanwhile.
func TestHealthAsksTheServerOfTheDataDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, config.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: answers("/api/v1/health", http.StatusNoContent)}}
	srv.Start()
	t.Cleanup(srv.Close)
	faulty, good := file(t, "faulty.yaml", "colour: red\n"), file(t, "sigpost.yaml", fmt.Sprintf("data: %s\n", dir))
	for name, i := range map[string]invocation{
		"data":                 {args: []string{"health", "--data", dir}},
		"variable":             {args: []string{"health"}, env: map[string]string{"SIGPOST_DATA": dir}},
		"file":                 {args: []string{"health", "--config", good}},
		"faulty file":          {args: []string{"health", "--config", faulty, "--data", dir}},
		"faulty, and variable": {args: []string{"health"}, env: map[string]string{"SIGPOST_DATA": dir, "SIGPOST_CONFIG": faulty}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i.run(t).expect(t, ExitOK, "ok\n")
		})
	}
	sigpost(t, "health", "--data", t.TempDir()).expect(t, ExitInvalid, "no server answers: dial unix")
	sigpost(t, "health", "--config", faulty).expect(t, ExitUsage, "colour")
}
