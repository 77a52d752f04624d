package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/sigpost/sigpost/internal/config"
)

// healthTimeout bounds the question and its answer.
const healthTimeout = 5 * time.Second

func (p *program) healthCommand() *cobra.Command {
	var l place
	var address string
	c := &cobra.Command{
		Use: "health", Short: "Ask a running server whether it can keep what comes", Args: cobra.NoArgs,
		Long: "Asks the server of the data directory, through its socket, or the one at --url as a load balancer does. The server asks its store.\n" +
			"The exit code is 0 when all is well and 1 when it is not, so that a container can be checked without a shell.",
		Example: "  sigpost health --data ./sigpost-data\n  sigpost health --url http://127.0.0.1:8080",
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), healthTimeout)
			defer cancel()
			err := p.health(ctx, &l, address)
			if err != nil {
				return err
			}
			fmt.Fprintln(p.out, "ok")
			return nil
		},
	}
	c.Flags().StringVarP(&l.config, "config", "c", "", "configuration file (default $SIGPOST_CONFIG)")
	c.Flags().StringVar(&l.data, "data", "", "data directory (default the configuration's, $SIGPOST_DATA or ./sigpost-data)")
	c.Flags().StringVar(&address, "url", "", "server to ask over the network, for example http://127.0.0.1:8080; /health is asked for unless it has a path")
	return c
}

// health is nil when the server that is meant can keep what comes.
func (p *program) health(ctx context.Context, l *place, address string) error {
	if address != "" {
		if l.data != "" || l.config != "" {
			return usage("give either --url or --data and --config: the one asks over the network, the others through the socket")
		}
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return usage("--url %q is not an http or https URL; write it like http://127.0.0.1:8080", address)
		}
		if u.Path == "" || u.Path == "/" {
			u.Path = "/health"
		}
		return askHealth(ctx, &http.Transport{}, u.String())
	}
	socket, err := p.socket(l)
	if err != nil {
		return err
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	return askHealth(ctx, transport, "http://sigpost/api/v1/health")
}

// socket is where the running server listens to commands. A fault that has come
// into the file since it started must not make it look ill, so where the data
// directory is given apart, that is enough.
func (p *program) socket(l *place) (string, error) {
	cfg, _, err := p.locate(l)
	if err == nil {
		return cfg.ControlSocket, nil
	}
	dir := l.data
	if dir == "" {
		dir, _ = p.env("SIGPOST_DATA")
	}
	if dir == "" {
		return "", err
	}
	return filepath.Join(dir, config.SocketName), nil
}

func askHealth(ctx context.Context, transport *http.Transport, address string) error {
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	// A redirect is not the answer of the server that was asked.
	c := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.Do(req)
	if err != nil {
		if inner := errors.Unwrap(err); inner != nil {
			err = inner // without the address again
		}
		return fmt.Errorf("no server answers: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK || res.StatusCode == http.StatusNoContent {
		return nil
	}
	return fmt.Errorf("not well: %w", refusal(res))
}
