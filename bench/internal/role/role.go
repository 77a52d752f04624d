// Package role has the servers that the product is measured against. Each does one part of
// its work with net/http and nothing else, as well as that can be done in few lines, so that
// a ratio to it says what the rest of the work costs:
//
//	bare        verify the signature, answer
//	bare-fsync  verify, append to a file with group commit, answer after the fdatasync
//	bare-post   post signed events from memory (nothing comes in)
//	bare-relay  verify, answer, forward signed from a bounded queue in memory
//
// They run as processes of their own, like the product. None of them could replace it:
// bare-relay, for one, loses what it has acknowledged when it stops at the wrong moment.
package role

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"
)

// names are the roles that Run knows, for its errors.
const names = "bare, bare-fsync, bare-post, bare-relay"

// options are the flags of a role.
type options struct {
	listen  string // host:port
	secret  string // incoming requests are signed with it, as Veriff does
	file    string // bare-fsync appends to it
	target  string // bare-post and bare-relay send there
	signing string // outgoing requests are signed with it: whsec_ and base64
}

// Run is the role args[0], configured by the flags in args[1:], until ctx ends.
func Run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("name a role: " + names)
	}
	opt, err := parse(args)
	if err != nil {
		return err
	}
	switch args[0] {
	case "bare":
		return serve(ctx, opt.listen, "POST /in/{token}", newIntake(opt.secret, func([]byte) error { return nil }))
	case "bare-fsync":
		return runFsync(ctx, opt)
	case "bare-post":
		return runPost(ctx, opt)
	case "bare-relay":
		return runRelay(ctx, opt)
	}
	return fmt.Errorf("role %q is unknown: take one of %s", args[0], names)
}

func parse(args []string) (options, error) {
	var opt options
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.StringVar(&opt.listen, "listen", "127.0.0.1:0", "address to listen on")
	flags.StringVar(&opt.secret, "secret", "", "secret of incoming requests")
	flags.StringVar(&opt.file, "file", "", "file to append to")
	flags.StringVar(&opt.target, "target", "", "URL to deliver to")
	flags.StringVar(&opt.signing, "signing-secret", "", "secret of outgoing requests, whsec_…")
	return opt, flags.Parse(args[1:])
}

func runFsync(ctx context.Context, opt options) error {
	file, err := os.OpenFile(opt.file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the file of -file: %w", err)
	}
	journal := openJournal(syncedFile{file})
	err = serve(ctx, opt.listen, "POST /in/{token}", newIntake(opt.secret, journal.Append))
	journal.Close()
	return errors.Join(err, file.Close())
}

func runRelay(ctx context.Context, opt options) error {
	p, err := newPoster(opt.target, opt.signing)
	if err != nil {
		return err
	}
	r := startRelay(p.post)
	err = serve(ctx, opt.listen, "POST /in/{token}", newIntake(opt.secret, r.enqueue))
	return errors.Join(err, r.drain())
}

func runPost(ctx context.Context, opt options) error {
	p, err := newPoster(opt.target, opt.signing)
	if err != nil {
		return err
	}
	return serve(ctx, opt.listen, "POST /run", burst{p.post})
}

// serve answers requests that match pattern with handler, and GET /health, until ctx ends;
// then it finishes what it has begun.
func serve(ctx context.Context, addr, pattern string, handler http.Handler) error {
	mux := http.NewServeMux()
	mux.Handle(pattern, handler)
	mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	server := &http.Server{Addr: addr, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return server.Shutdown(grace)
}
