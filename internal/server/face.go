package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/api"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/intake"
)

// Bounds of connections that come in.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = 30 * time.Second // a whole request, body included
	writeTimeout  = 60 * time.Second
	keepAlive     = 120 * time.Second
	headerBytes   = 64 << 10
)

// face is one listener with what it serves.
type face struct {
	name     string
	listener net.Listener
	server   *http.Server
	tls      bool
}

// listen opens all listeners, so that a port in use is known before anything runs.
func (s *Server) listen() (err error) {
	defer func() {
		if err != nil {
			for _, f := range s.faces {
				f.listener.Close()
			}
		}
	}()
	cfg := s.o.Config
	var certificates *certificate
	if cfg.TLS.Cert != "" {
		if certificates, err = newCertificate(cfg.TLS.Cert, cfg.TLS.Key, s.o.Log); err != nil {
			return err
		}
	}
	if err := s.listenTCP("listen", cfg.Listen, s.mainHandler(), certificates); err != nil {
		return err
	}
	if cfg.IntakeListen != "" {
		if err := s.listenTCP("intake_listen", cfg.IntakeListen, s.intakeHandler(), certificates); err != nil {
			return err
		}
	}
	if err := s.listenControl(cfg.ControlSocket); err != nil {
		return err
	}
	own := make([]netip.AddrPort, 0, len(s.faces))
	for _, f := range s.faces {
		if at, err := netip.ParseAddrPort(f.listener.Addr().String()); err == nil {
			own = append(own, netip.AddrPortFrom(at.Addr().Unmap(), at.Port()))
			s.o.Log.Info("listening", "face", f.name, "address", at.String(), "tls", f.tls)
		}
	}
	s.own.Store(&own)
	return nil
}

func (s *Server) listenTCP(name, address string, h http.Handler, c *certificate) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return hook.Errorf(hook.CodeUnavailable, "%s: cannot listen on %s: %w", name, address, err)
	}
	f := s.newFace(name, l, h)
	if c != nil {
		f.tls = true
		f.server.TLSConfig = &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12}
	}
	return nil
}

// listenControl opens the socket of the command line. The data directory is
// locked, so a socket that is there already was left by a process that is gone.
func (s *Server) listenControl(path string) error {
	if err := removeStaleSocket(path); err != nil {
		return err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return hook.Errorf(hook.CodeInvalid, "control_socket: cannot listen on %s (a socket's path has at most about 100 characters): %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return hook.Errorf(hook.CodeUnavailable, "control_socket: %w", err)
	}
	s.newFace("control", l, s.guarded(s.Control()))
	return nil
}

// removeStaleSocket removes the socket of a process that is gone, and nothing else.
func removeStaleSocket(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return hook.Errorf(hook.CodeInvalid, "control_socket: %w", err)
	}
	if info.Mode().Type() != os.ModeSocket {
		return hook.Errorf(hook.CodeInvalid, "control_socket: %s is there already and is not a socket; name another path", path)
	}
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return hook.Errorf(hook.CodeConflict, "control_socket: another server answers at %s; name another path", path)
	}
	if err := os.Remove(path); err != nil {
		return hook.Errorf(hook.CodeUnavailable, "control_socket: remove the old %s: %w", path, err)
	}
	return nil
}

func (s *Server) newFace(name string, l net.Listener, h http.Handler) *face {
	f := &face{name: name, listener: l, server: &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: keepAlive,
		MaxHeaderBytes: headerBytes, ErrorLog: slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
	}}
	s.faces = append(s.faces, f)
	return f
}

func (f *face) serve() error {
	var err error
	if f.tls {
		err = f.server.ServeTLS(f.listener, "", "")
	} else {
		err = f.server.Serve(f.listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", f.name, err)
}

func (f *face) stop(ctx context.Context) {
	if err := f.server.Shutdown(ctx); err != nil {
		f.server.Close()
	}
}

// Addr is where the main face listens; it is known once Run has begun.
func (s *Server) Addr() string {
	if own := s.own.Load(); own != nil && len(*own) > 0 {
		return (*own)[0].String()
	}
	return ""
}

// isOwn says whether an address is one of our own listeners.
func (s *Server) isOwn(at netip.AddrPort) bool {
	own := s.own.Load()
	if own == nil {
		return false
	}
	for _, o := range *own {
		if o.Port() != at.Port() {
			continue
		}
		if o.Addr() == at.Addr() || at.Addr().IsUnspecified() || o.Addr().IsUnspecified() && isLocal(at.Addr()) {
			return true
		}
	}
	return false
}

// isLocal says whether an address is one of this machine's.
func isLocal(addr netip.Addr) bool {
	if addr.IsLoopback() || addr.IsUnspecified() {
		return true
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return true // not knowing, be careful
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap() == addr {
			return true
		}
	}
	return false
}

// mainHandler serves everything.
func (s *Server) mainHandler() http.Handler {
	metrics, missing, keys := s.metrics.Handler(), notFound(), http.HandlerFunc(s.publicKeys)
	return s.guarded(withIntake(s.intake, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asData(w.Header())
		if api.Serves(r.URL.Path) {
			s.api.ServeHTTP(w, r)
			return
		}
		if strings.HasPrefix(r.URL.Path, keysPath) {
			keys.ServeHTTP(w, r)
			return
		}
		switch strings.TrimSuffix(r.URL.Path, "/") { // no mux: it would answer odd paths with redirects
		case "/health":
			s.health(w, r)
		case "/metrics":
			metrics.ServeHTTP(w, r)
		case api.DocumentPath:
			s.api.ServeDocument(w, r)
		case api.ReferencePath:
			s.api.ServeReference(w, r)
		default:
			if s.dashboard.Serves(r.URL.Path) {
				w.Header().Del("Content-Security-Policy") // its pages have another
				s.dashboard.ServeHTTP(w, r)
				return
			}
			missing.ServeHTTP(w, r)
		}
	})))
}

// asData says to browsers that an answer, also one about an error, is nothing but what its type
// says: no page, no script, and nothing to be framed. Pages say otherwise themselves.
func asData(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
}

// intakeHandler serves webhooks alone, for a public address.
func (s *Server) intakeHandler() http.Handler { return s.guarded(withIntake(s.intake, notFound())) }

// withIntake sends what is for sources there without the detour of a mux.
func withIntake(in http.Handler, rest http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.URL.Path) > len(intake.Prefix) && r.URL.Path[:len(intake.Prefix)] == intake.Prefix {
			in.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})
}

func notFound() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, "not_found", "there is nothing here; webhooks are posted to /in/{token}, and /docs has the API")
	})
}

// health says whether webhooks can be kept: it asks the store.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		fail(w, http.StatusMethodNotAllowed, "method_not_allowed", "ask with GET or HEAD")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := s.store.Ping(ctx); err != nil {
		s.o.Log.Error("health check failed", "error", err)
		fail(w, http.StatusServiceUnavailable, "unavailable", "the store does not answer")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, "{\"status\":\"ok\"}\n")
}

// guarded turns a panic into our own trouble: 503, so that a provider tries again.
func (s *Server) guarded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler {
				panic(v)
			}
			s.o.Log.Error("panic", "method", r.Method, "value", fmt.Sprint(v), "stack", string(debug.Stack()))
			w.Header().Set("Retry-After", "5")
			fail(w, http.StatusServiceUnavailable, "unavailable", "something went wrong here; try again")
		}()
		h.ServeHTTP(w, r)
	})
}

func fail(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"code": code, "detail": detail})
}
