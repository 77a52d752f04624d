package fill

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sigpost/sigpost/bench/internal/event"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/seal"
	"github.com/sigpost/sigpost/internal/store"
)

// Tenants makes for each URL in a file, one a line, an application with an endpoint there, as
// a service has one for each of its customers, and writes the ids of the applications to out
// in the order of the URLs. Messages says how many retries wait for their next attempt,
// of the endpoints in turn: each is a message of its own whose first attempt failed, and all
// are due.
func Tenants(ctx context.Context, opt Options, urls string, secret hook.Secret, out io.Writer) error {
	list, err := lines(urls)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(opt.Data, 0o700); err != nil {
		return err
	}
	ring, err := seal.FromFile(opt.Data)
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, store.Options{Dir: opt.Data, Seal: ring, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	defer s.Close()
	org, err := s.OrganizationByExternal(ctx, opt.Org)
	if err != nil {
		return err
	}
	made, err := makeTenants(ctx, s, org.ID, list, secret)
	if err != nil {
		return err
	}
	if err := retries(ctx, s, made, opt.Messages); err != nil {
		return fmt.Errorf("write retries: %w", err)
	}
	for _, e := range made {
		if _, err := fmt.Fprintln(out, s.IDs().Public(hook.KindApplication, e.App)); err != nil {
			return err
		}
	}
	return s.Close()
}

// lines are those of a file that are not empty.
func lines(path string) (list []string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	scan := bufio.NewScanner(file)
	for scan.Scan() {
		if line := strings.TrimSpace(scan.Text()); line != "" {
			list = append(list, line)
		}
	}
	return list, scan.Err()
}

// makeTenants makes the applications and their endpoints, many at once.
func makeTenants(ctx context.Context, s *store.Store, org hook.Key, urls []string, secret hook.Secret) ([]hook.Endpoint, error) {
	made := make([]hook.Endpoint, len(urls))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	for i, url := range urls {
		group.Go(func() error {
			app, err := s.CreateApplication(ctx, hook.Application{Org: org, Name: fmt.Sprintf("bench %d", i)})
			if err != nil {
				return err
			}
			made[i], err = s.CreateEndpoint(ctx, hook.Endpoint{Org: org, App: app.ID, URL: url}, secret)
			return err
		})
	}
	return made, group.Wait()
}

// retries writes n of them and indexes them, as in a store that has had them for long.
func retries(ctx context.Context, s *store.Store, of []hook.Endpoint, n int) error {
	due := time.Now()
	f := &filler{store: s, template: event.NewTemplate(), due: due, result: func(int) result {
		return result{hook.Pending, hook.OutcomeStatus, 503}
	}}
	f.make = func(n int) *hook.Append {
		e := &of[n%len(of)]
		a := f.message(n)
		a.Message.Org, a.Message.App = e.Org, e.App
		a.Deliveries[0].Org, a.Deliveries[0].Endpoint = e.Org, e.ID
		return a
	}
	if err := f.write(ctx, 0, n); err != nil {
		return err
	}
	for done := 1; done > 0; {
		var err error
		if done, err = s.Index(ctx); err != nil {
			return err
		}
	}
	return nil
}
