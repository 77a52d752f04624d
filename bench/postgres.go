package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sigpost/sigpost/bench/internal/child"
	"github.com/sigpost/sigpost/bench/internal/postgres"
)

// stockLimit ends what does not end: a million events are written in three minutes or so.
const stockLimit = 30 * time.Minute

// errPassedOver says that PostgreSQL cannot be measured here, which fails nothing.
var errPassedOver = errors.New("passed over")

// database is one on the bench's PostgreSQL, with what it has in it.
type database struct {
	server *postgres.Server
	name   string
	url    string
	next   uint64 // number of the first event that it does not know
	size   int64  // bytes, when it was stocked
}

// onPostgres is a measurement that is passed over, with a word, where there is no PostgreSQL.
func onPostgres(name string, do func(*bench, context.Context) error) measurement {
	return measurement{name, func(b *bench, ctx context.Context) error {
		err := do(b, ctx)
		if errors.Is(err, errPassedOver) {
			b.say("%s: %v", name, err)
			b.report.Pass(name, strings.TrimPrefix(err.Error(), errPassedOver.Error()+": "))
			return nil
		}
		return err
	}}
}

// postgresServer is the bench's PostgreSQL; it is started when it is first needed.
func (b *bench) postgresServer(ctx context.Context) (*postgres.Server, error) {
	if b.pg != nil {
		return b.pg, nil
	}
	if err := b.available(); err != nil {
		return nil, fmt.Errorf("%w: %w", errPassedOver, err)
	}
	// PostgreSQL runs as another user where we are root, and has to get to its own files.
	if err := os.Chmod(b.dir, 0o711); err != nil {
		return nil, fmt.Errorf("open the way to the data of PostgreSQL: %w", err)
	}
	server, err := postgres.Start(ctx, b.dir)
	if err != nil {
		return nil, err
	}
	b.pg = server
	version, err := server.Version(ctx)
	b.report.Plan += fmt.Sprintf("\nPostgreSQL %s with %s", version, strings.Join(postgres.Settings(), ", "))
	return server, err
}

// createDatabase makes an empty database.
func (b *bench) createDatabase(ctx context.Context) (*database, error) {
	server, err := b.postgresServer(ctx)
	if err != nil {
		return nil, err
	}
	b.databases++
	d := &database{server: server, name: "bench_" + strconv.Itoa(b.databases)}
	d.url, err = server.Create(ctx, d.name)
	return d, err
}

// drop removes the database.
func (d *database) drop(ctx context.Context) error {
	return d.server.Drop(context.WithoutCancel(ctx), d.name)
}

// stocked is a database with as many events as -messages says, which are written once.
func (b *bench) stocked(ctx context.Context) (*database, error) {
	if b.stock != nil {
		return b.stock, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, stockLimit, errors.New("writing the events took too long"))
	defer cancel()
	d, err := b.createDatabase(ctx)
	if err != nil {
		return nil, err
	}
	b.say("postgres: writing %d events", b.opt.messages)
	began := time.Now()
	args := []string{"fill", "-url", d.url, "-master-key", b.master, "-messages", strconv.Itoa(b.opt.messages)}
	filler, err := child.Start(b.self, args, filepath.Join(b.dir, "stocked"))
	if err != nil {
		return nil, err
	}
	if err := filler.Wait(ctx); err != nil {
		return nil, err
	}
	// As after a day of them: autovacuum does not find them all new at once.
	if err := d.server.Exec(ctx, d.name, "VACUUM (ANALYZE)"); err != nil {
		return nil, fmt.Errorf("vacuum the database: %w", err)
	}
	if d.size, err = d.server.Size(ctx, d.name); err != nil {
		return nil, err
	}
	if err := d.server.Checkpoint(ctx); err != nil {
		return nil, err
	}
	b.say("postgres: that took %s", time.Since(began).Round(time.Second/10))
	b.stock = d
	return d, nil
}

// stockGroup is the heading of what is measured on that database.
func (b *bench) stockGroup(what string) string {
	return fmt.Sprintf("postgresql: %s, %d events before", what, b.opt.messages)
}
