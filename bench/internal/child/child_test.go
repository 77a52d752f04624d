package child

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary play the child: its first argument says how it behaves.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || !strings.HasPrefix(os.Args[1], "be-") {
		os.Exit(m.Run())
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	switch os.Args[1] {
	case "be-good":
		ln, err := net.Listen("tcp", os.Args[2])
		if err != nil {
			fmt.Println(err)
			os.Exit(3)
		}
		go http.Serve(ln, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		<-term
	case "be-gone":
		fmt.Println("no such port")
		os.Exit(2)
	case "be-done":
	case "be-stubborn":
		fmt.Println("not now")
		select {}
	}
}

// start runs the test binary in a given mood.
func start(t *testing.T, args ...string) *Process {
	t.Helper()
	p, err := Start(os.Args[0], args, filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// freePort is a loopback address that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func TestProcessIsReadyThenStops(t *testing.T) {
	t.Parallel()
	addr := freePort(t)
	p := start(t, "be-good", addr)
	if err := p.Ready(t.Context(), "http://"+addr+"/health", 20*time.Second); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" {
		if now, peak, err := p.Memory(); err != nil || now < 1<<20 || peak < now {
			t.Errorf("memory %d, peak %d, %v", now, peak, err)
		}
	}
	usage, err := p.Stop(20 * time.Second)
	if err != nil || usage.CPU <= 0 {
		t.Errorf("usage %+v, %v", usage, err)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("it still listens")
	}
}

func TestReadyTellsWhyTheProcessEnded(t *testing.T) {
	t.Parallel()
	err := start(t, "be-gone").Ready(t.Context(), "http://"+freePort(t)+"/health", 20*time.Second)
	if err == nil || !strings.Contains(err.Error(), "exit status 2") || !strings.Contains(err.Error(), "no such port") {
		t.Errorf("error %v", err)
	}
}

func TestReadyGivesUp(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	err := start(t, "be-good", freePort(t)).Ready(t.Context(), srv.URL, 30*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "is not answered within 30ms") {
		t.Errorf("error %v", err)
	}
}

func TestStopKillsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	p := start(t, "be-stubborn")
	for text := ""; !strings.Contains(text, "not now"); text = p.tail() { // its handler is set
		runtime.Gosched()
	}
	_, err := p.Stop(20 * time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "was killed; the end of its output:\nnot now") {
		t.Errorf("error %v", err)
	}
	if err := p.cmd.Process.Signal(syscall.Signal(0)); err == nil {
		t.Error("it is still there")
	}
}

func TestEndSaysWhatAKilledProcessTook(t *testing.T) {
	t.Parallel()
	p := start(t, "be-stubborn")
	for text := ""; !strings.Contains(text, "not now"); text = p.tail() {
		runtime.Gosched()
	}
	if usage := p.End(); usage.CPU <= 0 || p.cmd.ProcessState.Success() {
		t.Errorf("usage %+v, %v", usage, p.cmd.ProcessState)
	}
}

func TestStopReportsAProcessThatEndedByItself(t *testing.T) {
	t.Parallel()
	p := start(t, "be-gone")
	<-p.done
	if _, err := p.Stop(time.Second); err == nil || !strings.Contains(err.Error(), "ended by itself") {
		t.Errorf("error %v", err)
	}
}

func TestWaitEndsWithTheProcessOrTheContext(t *testing.T) {
	t.Parallel()
	if err := start(t, "be-done").Wait(t.Context()); err != nil {
		t.Error(err)
	}
	if err := start(t, "be-gone").Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "no such port") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := start(t, "be-stubborn")
	if err := p.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	select {
	case <-p.done:
	default:
		t.Error("it is still there")
	}
}
