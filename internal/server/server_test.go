package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/alert"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/provider"
)

var quiet = slog.New(slog.DiscardHandler)

// writePair writes a certificate of its own with a serial number.
func writePair(t *testing.T, dir string, serial int64) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), serial)
	write(t, key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), serial)
	return cert, key
}

// write writes a file whose time of change is its version.
func write(t *testing.T, path string, data []byte, version int64) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, time.Unix(1_000_000+version, 0)); err != nil {
		t.Fatal(err)
	}
}

func TestCertificateIsReadAgainWhenItsFilesChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		cert, key := writePair(t, dir, 1)
		c, err := newCertificate(cert, key, quiet)
		if err != nil {
			t.Fatal(err)
		}
		serial := func() int64 {
			pair, err := c.get(nil)
			if err != nil {
				t.Fatal(err)
			}
			leaf, err := x509.ParseCertificate(pair.Certificate[0])
			if err != nil {
				t.Fatal(err)
			}
			return leaf.SerialNumber.Int64()
		}
		if s := serial(); s != 1 {
			t.Errorf("serves %d at first", s)
		}
		writePair(t, dir, 2)
		time.Sleep(certificateInterval)
		if s := serial(); s != 2 {
			t.Errorf("serves %d after a change", s)
		}
		write(t, key, []byte("half a file"), 3)
		time.Sleep(certificateInterval)
		if s := serial(); s != 2 {
			t.Errorf("serves %d while the files are broken", s)
		}
		writePair(t, dir, 4)
		time.Sleep(certificateInterval)
		if s := serial(); s != 4 {
			t.Errorf("serves %d after they were mended", s)
		}
	})
}

func TestOwnListenersAreKnownByAnyOfTheirAddresses(t *testing.T) {
	t.Parallel()
	s := &Server{}
	s.own.Store(&[]netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:8080"), netip.MustParseAddrPort("127.0.0.1:9090")})
	for address, want := range map[string]bool{
		"127.0.0.1:8080": true, "127.9.9.9:8080": true, "0.0.0.0:8080": true, "[::1]:8080": true, "192.0.2.1:8080": false, "0.0.0.0:9090": true,
		"127.0.0.1:9090": true, "127.0.0.2:9090": false, "127.0.0.1:8081": false,
	} {
		if got := s.isOwn(netip.MustParseAddrPort(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

func TestPanicIsOwnTrouble(t *testing.T) {
	t.Parallel()
	s := &Server{o: Options{Log: quiet}}
	w := httptest.NewRecorder()
	s.guarded(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") })).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/in/x", nil))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("answered %d %v %s", w.Code, w.Header(), w.Body)
	}
}

func TestPolicyOfAProviderFillsWhatTheEndpointLeavesOpen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy     provider.SendPolicy
		have, want hook.Endpoint
	}{
		"all": {provider.SendPolicy{Timeout: 5 * time.Second, Success: []int{200}, Window: time.Hour, Interval: time.Minute}, hook.Endpoint{},
			hook.Endpoint{Timeout: 5 * time.Second, SuccessCodes: []int{200}, Window: time.Hour, Schedule: []time.Duration{time.Minute}}},
		"the endpoint comes first": {provider.SendPolicy{Timeout: 5 * time.Second, Interval: time.Minute}, hook.Endpoint{Timeout: time.Second, Schedule: []time.Duration{time.Hour}},
			hook.Endpoint{Timeout: time.Second, Schedule: []time.Duration{time.Hour}}},
		"a schedule that ends": {provider.SendPolicy{Schedule: []time.Duration{time.Minute, 3 * time.Minute}}, hook.Endpoint{},
			hook.Endpoint{Schedule: []time.Duration{time.Minute, 3 * time.Minute}, Window: 4 * time.Minute}},
		"waits that are not known": {provider.SendPolicy{Window: time.Hour}, hook.Endpoint{}, hook.Endpoint{Window: time.Hour}},
	} {
		got := c.have
		usePolicy(&got, &c.policy)
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestOnlyAStaleSocketIsRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "precious.txt")
	write(t, file, []byte("precious"), 1)
	if err := removeStaleSocket(file); hook.CodeOf(err) != hook.CodeInvalid {
		t.Errorf("a file: %v", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error("the file is gone")
	}
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := removeStaleSocket(socket); hook.CodeOf(err) != hook.CodeConflict {
		t.Errorf("a socket that answers: %v", err)
	}
	l.Close()
	if err := removeStaleSocket(socket); err != nil {
		t.Errorf("a stale socket: %v", err)
	}
	if err := removeStaleSocket(socket); err != nil {
		t.Errorf("none: %v", err)
	}
}

func TestUpkeepSweepsAlertsAndListensToSources(t *testing.T) {
	t.Parallel()
	s := &Server{alerts: alert.New(alert.Options{})} // which tells of no silence, so it needs no store to look for one
	var names []string
	for _, job := range s.upkeepJobs() {
		names = append(names, job.name)
		if job.name == "silent sources" {
			if err := job.run(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	if !slices.Contains(names, "silent sources") || !slices.Contains(names, "alerts not told") {
		t.Errorf("jobs %v", names)
	}
}
