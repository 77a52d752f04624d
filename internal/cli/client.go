package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sigpost/sigpost/internal/api"
	"github.com/sigpost/sigpost/internal/config"
	"github.com/sigpost/sigpost/internal/provider"
	"github.com/sigpost/sigpost/internal/server"
	"github.com/sigpost/sigpost/internal/telemetry"
)

// place says where the data is that a command works on.
type place struct {
	config string
	data   string
	org    string // of whose things the command speaks; empty is the file's own
	json   bool
}

// flags adds the flags that say it.
func (l *place) flags(c *cobra.Command) {
	c.PersistentFlags().StringVarP(&l.config, "config", "c", "", "configuration file (default $SIGPOST_CONFIG)")
	c.PersistentFlags().StringVar(&l.data, "data", "", "data directory (default the configuration's, $SIGPOST_DATA or ./sigpost-data)")
	c.PersistentFlags().BoolVar(&l.json, "json", false, "print JSON")
}

// orgFlag adds the flag that says of which organization's things a command speaks.
func (l *place) orgFlag(c *cobra.Command) {
	c.PersistentFlags().StringVar(&l.org, "org", "", "organization (org_…; made on first use; default the one of the configuration file)")
}

// client talks to a running server through its socket, or to the data
// directory of a stopped one.
type client struct {
	http  *http.Client
	close func() error
	org   string // that requests are made for
	// stopped says that no server runs: tasks wait for its start.
	stopped bool
}

// connect finds the server. While one runs, the socket in the data directory
// is all that is needed; only the directory of a stopped one is opened here.
func (p *program) connect(ctx context.Context, l *place) (*client, error) {
	cfg, providers, err := p.locate(l)
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", cfg.ControlSocket)
	}
	conn, err := dial(ctx, "", "")
	switch {
	case err == nil:
		conn.Close()
		return &client{&http.Client{Transport: &http.Transport{DialContext: dial}}, func() error { return nil }, l.org, false}, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return p.openStopped(ctx, l, cfg, providers)
	}
	return nil, fmt.Errorf("connect to the server: %w", err)
}

// locate finds the data directory, with the configuration when there is one.
func (p *program) locate(l *place) (*config.Config, *provider.Set, error) {
	if l.config == "" {
		if name, ok := p.env("SIGPOST_CONFIG"); !ok || name == "" {
			dir := l.data
			if dir == "" {
				dir, _ = p.env("SIGPOST_DATA")
			}
			if dir == "" {
				dir = config.DefaultData
			}
			return &config.Config{Data: dir, ControlSocket: filepath.Join(dir, config.SocketName)}, nil, nil
		}
	}
	flags := map[string]string{}
	if l.data != "" {
		flags["data"] = l.data
	}
	return p.load(l.config, flags)
}

// openStopped opens the data directory without listening. Without a
// configuration it leaves sources and endpoints as they are.
func (p *program) openStopped(ctx context.Context, l *place, cfg *config.Config, providers *provider.Set) (*client, error) {
	shared, err := p.shared(cfg)
	if err != nil {
		return nil, err
	}
	if _, err := fileExists(filepath.Join(cfg.Data, "sigpost.db")); shared != nil {
		cfg = shared
	} else if err != nil && cfg.DatabaseURL == "" {
		return nil, fmt.Errorf("no server answers at %s and there is no data in %s; say where it is with --data or --config", cfg.ControlSocket, cfg.Data)
	}
	log, err := telemetry.NewLog(p.err, "text", "warn")
	if err != nil {
		return nil, err
	}
	s, err := server.Open(ctx, server.Options{Config: cfg, Providers: providers, Log: log.Logger, Version: p.version, ReadState: providers == nil})
	if err != nil {
		log.Close()
		return nil, err
	}
	end := func() error {
		defer log.Close()
		return s.Close()
	}
	return &client{&http.Client{Transport: inProcess{s.Control()}}, end, l.org, true}, nil
}

// shared is the configuration of the environment, where that names a database and there is
// neither a configuration nor data in the directory; else nil.
func (p *program) shared(cfg *config.Config) (*config.Config, error) {
	url, _ := p.env("SIGPOST_DATABASE_URL")
	if _, err := fileExists(filepath.Join(cfg.Data, "sigpost.db")); err == nil || url == "" || cfg.DatabaseURL != "" {
		return nil, nil
	}
	shared, _, err := server.Load(config.Options{Env: p.env, Environ: os.Environ(), Flags: map[string]string{"data": cfg.Data}})
	if err != nil {
		return nil, &exitError{ExitUsage, fmt.Errorf("the configuration has faults:\n%w", err)}
	}
	return shared, nil
}

// inProcess answers requests without a connection.
type inProcess struct{ handler http.Handler }

func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := &answer{header: http.Header{}, status: http.StatusOK}
	t.handler.ServeHTTP(w, r)
	return &http.Response{StatusCode: w.status, Header: w.header, Body: io.NopCloser(&w.body), Request: r}, nil
}

type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }
func (a *answer) WriteHeader(status int)      { a.status = status }

// call makes one request and decodes its answer into v.
func (c *client) call(ctx context.Context, method, path string, query url.Values, v any) error {
	return c.send(ctx, method, path, query, c.header(), nil, v)
}

// ask makes one request with a body and decodes its answer into out.
func (c *client) ask(ctx context.Context, method, path string, in, out any) error {
	return c.send(ctx, method, path, nil, c.header(), in, out)
}

// header says for whom requests are made.
func (c *client) header() http.Header {
	h := http.Header{}
	if c.org != "" {
		h.Set(api.OrganizationHeader, c.org)
	}
	return h
}

// readList reads a list until it has limit rows, or to its end. A page may be short
// before the end: the server looks at a bounded number of rows for each.
func readList[T any](ctx context.Context, c *client, path string, query url.Values, limit int) (api.ListOut[T], error) {
	const most = 250 // of one page
	query, out := maps.Clone(query), api.ListOut[T]{Data: []T{}}
	if query == nil {
		query = url.Values{}
	}
	for {
		query.Set("limit", strconv.Itoa(min(most, limit-len(out.Data))))
		var page api.ListOut[T]
		if err := c.call(ctx, http.MethodGet, path, query, &page); err != nil {
			return out, err
		}
		out.Data = append(out.Data, page.Data...)
		out.Iterator, out.Done = page.Iterator, page.Done
		if page.Done || page.Iterator == nil || len(out.Data) >= limit {
			return out, nil
		}
		query.Set("iterator", *page.Iterator)
	}
}

// send makes one request with a body, unless in is nil, and decodes its answer
// into out, unless that is nil.
func (c *client) send(ctx context.Context, method, path string, query url.Values, header http.Header, in, out any) error {
	u := "http://sigpost" + path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	body := io.Reader(http.NoBody)
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, u, body)
	if err != nil {
		return err
	}
	maps.Copy(req.Header, header)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the server: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		return refusal(res)
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	return nil
}

// refusal is what the server said when it did not do it.
func refusal(res *http.Response) error {
	var f struct {
		Detail json.RawMessage `json:"detail"`
	}
	if err := json.NewDecoder(res.Body).Decode(&f); err != nil {
		return fmt.Errorf("the server answered %d", res.StatusCode)
	}
	var text string
	if json.Unmarshal(f.Detail, &text) == nil && text != "" {
		return errors.New(text)
	}
	var faults []api.ValidationError
	if err := json.Unmarshal(f.Detail, &faults); err != nil || len(faults) == 0 {
		return fmt.Errorf("the server answered %d", res.StatusCode)
	}
	if loc := faults[0].Loc; len(loc) > 1 {
		return fmt.Errorf("%s: %s", loc[len(loc)-1], faults[0].Msg)
	}
	return errors.New(faults[0].Msg) // about the request as a whole
}

// with connects, lets f ask what it wants, and disconnects.
func (p *program) with(ctx context.Context, l *place, f func(*client) error) (err error) {
	c, err := p.connect(ctx, l)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	return f(c)
}

// pathOf is the path of a thing below another. Without an id it would be that of the list.
func pathOf(list, id string) (string, error) {
	if id == "" {
		return "", usage("the id is empty")
	}
	return list + "/" + url.PathEscape(id), nil
}

// printJSON prints v for machines.
func (p *program) printJSON(v any) error {
	enc := json.NewEncoder(p.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// table prints rows under a heading, in columns.
func (p *program) table(heading string, rows func(w io.Writer)) error {
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, heading)
	rows(w)
	return w.Flush()
}
