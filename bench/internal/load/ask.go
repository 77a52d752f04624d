package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Asking says which lists are asked for, and where.
type Asking struct {
	Addr        string // host:port
	Token       string
	Paths       []string // with their queries
	Connections int
}

// Asked is what came of asking for one list again and again.
type Asked struct {
	Took []time.Duration // until the whole answer had been read
	Rows int             // the fewest that were counted; each connection counts its first answer
	Done bool            // the answer with these rows was the end of the list
}

// Round asks for the lists in turn for d, and at least once for each; every connection for
// the next one as soon as it has read the last. The result is in the order of the paths.
// An answer that is not 200 and a broken connection end it with an error.
func Round(ctx context.Context, opt Asking, d time.Duration) ([]Asked, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, d+answerLimit,
		fmt.Errorf("lists were still being read %s after the end of the run", answerLimit))
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	began := time.Now()
	askers := make([]*asker, opt.Connections)
	for i := range askers {
		a := &asker{opt: &opt, client: http.Client{Transport: transport()}, asked: make([]Asked, len(opt.Paths))}
		defer a.client.CloseIdleConnections()
		askers[i] = a
		group.Go(func() error {
			for {
				n := int(next.Add(1) - 1)
				if n >= len(opt.Paths) && time.Since(began) >= d {
					return nil
				}
				if err := a.ask(ctx, n%len(opt.Paths)); err != nil {
					return err
				}
			}
		})
	}
	err := group.Wait()
	return together(askers, len(opt.Paths)), err
}

// together merges what the connections saw.
func together(askers []*asker, paths int) []Asked {
	all := make([]Asked, paths)
	for i := range all {
		for _, a := range askers {
			one := a.asked[i]
			if len(one.Took) == 0 {
				continue
			}
			if len(all[i].Took) == 0 || one.Rows < all[i].Rows {
				all[i].Rows, all[i].Done = one.Rows, one.Done
			}
			all[i].Took = append(all[i].Took, one.Took...)
		}
	}
	return all
}

// asker is a connection with what it has seen.
type asker struct {
	opt    *Asking
	client http.Client
	answer bytes.Buffer
	asked  []Asked
}

// ask asks for list i and notes how long that took.
func (a *asker) ask(ctx context.Context, i int) error {
	u, err := url.Parse("http://" + a.opt.Addr + a.opt.Paths[i])
	if err != nil {
		return fmt.Errorf("parse address: %w", err)
	}
	req := (&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{"Authorization": {"Bearer " + a.opt.Token}}}).WithContext(ctx)
	sent := time.Now()
	res, err := a.client.Do(req)
	if err == nil {
		a.answer.Reset()
		_, err = a.answer.ReadFrom(res.Body)
		res.Body.Close()
	}
	took := time.Since(sent)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return fmt.Errorf("ask for %s: %w", u.RequestURI(), err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s was answered %d, want 200: %.300s", u.RequestURI(), res.StatusCode, a.answer.String())
	}
	if len(a.asked[i].Took) == 0 { // later ones are not counted, which would take CPU from the system
		if a.asked[i].Rows, a.asked[i].Done, err = rowsOf(a.answer.Bytes()); err != nil {
			return fmt.Errorf("read %s: %w", u.RequestURI(), err)
		}
	}
	a.asked[i].Took = append(a.asked[i].Took, took)
	return nil
}

// rowsOf counts the rows of a page, and says whether it is the last one.
func rowsOf(answer []byte) (rows int, done bool, err error) {
	var list struct {
		Data *[]json.RawMessage `json:"data"`
		Done bool               `json:"done"`
	}
	if err := json.Unmarshal(answer, &list); err != nil {
		return 0, false, err
	}
	if list.Data == nil {
		return 0, false, errors.New("it has no data")
	}
	return len(*list.Data), list.Done, nil
}
