package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// A network may fail without a word: what was sent is taken, and no answer ever
// comes. So no statement waits for ever: one whose context has no deadline gets
// one, which holds until its rows are closed or its transaction has ended. pgx closes
// the connection on which time ran out, so an answer that comes late is never
// taken for that to another question.

const (
	// statementTime bounds a statement, or a transaction, that has no deadline. It is
	// far more than any of ours takes but those that are unhurried.
	statementTime = 30 * time.Second
	// answerTime is how long a connection that was idle may take to show that it lives.
	answerTime = 5 * time.Second
)

type unhurriedKey struct{}

// unhurried is ctx for what may rightly take long – waiting for a lock, changing the
// schema, copying a store: statements under it have no other bound than the deadline of
// ctx. A connection whose other end is gone still ends them, as dial says.
func unhurried(ctx context.Context) context.Context {
	return context.WithValue(ctx, unhurriedKey{}, true)
}

// bounded is ctx with the deadline of a statement.
func (c *pgConn) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has || ctx.Value(unhurriedKey{}) != nil {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, c.time, errNoAnswer)
}

var errNoAnswer = errors.New("the database did not answer in time")

// because says of the error of a statement that it is the bound's doing.
func because(ctx context.Context, err error) error {
	if err != nil && context.Cause(ctx) == errNoAnswer {
		return fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	return err
}

// connector makes connections that take SQL as it is written for SQLite.
type connector struct {
	driver.Connector
	known *translations
	time  time.Duration // that bounds a statement
}

// openPool opens a pool of at most n connections.
func openPool(config *pgx.ConnConfig, known *translations, bound time.Duration, n int) *sql.DB {
	db := sql.OpenDB(connector{stdlib.GetConnector(*config), known, bound})
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	std, ok := conn.(*stdlib.Conn)
	if !ok {
		return nil, fmt.Errorf("connect: the driver gave a %T", conn)
	}
	return &pgConn{std, c.known, c.time}, nil
}

// pgConn is a connection of pgx whose texts are translated, whose arguments are made
// such as PostgreSQL can keep, and whose statements are bounded.
type pgConn struct {
	*stdlib.Conn
	known *translations
	time  time.Duration
}

var errPrepare = errors.New("nothing is prepared by hand on PostgreSQL: pgx prepares what it runs")

func (c *pgConn) Prepare(string) (driver.Stmt, error) { return nil, errPrepare }

func (c *pgConn) PrepareContext(context.Context, string) (driver.Stmt, error) {
	return nil, errPrepare
}

func (c *pgConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	ctx, done := c.bounded(ctx)
	defer done()
	result, err := c.Conn.ExecContext(ctx, c.known.of(text), args)
	return result, because(ctx, err)
}

func (c *pgConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	ctx, done := c.bounded(ctx)
	rows, err := c.Conn.QueryContext(ctx, c.known.of(text), args)
	if err != nil {
		defer done()
		return nil, because(ctx, err)
	}
	std, ok := rows.(*stdlib.Rows)
	if !ok {
		defer done()
		return nil, errors.Join(fmt.Errorf("query: the driver gave a %T", rows), rows.Close())
	}
	return &pgRows{std, done}, nil
}

// pgRows are rows of pgx that must be closed in time.
type pgRows struct {
	*stdlib.Rows
	done context.CancelFunc
}

func (r *pgRows) Close() error {
	defer r.done()
	return r.Rows.Close()
}

func (c *pgConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	ctx, done := c.bounded(ctx)
	tx, err := c.Conn.BeginTx(ctx, o)
	if err != nil {
		defer done()
		return nil, because(ctx, err)
	}
	return pgTx{tx, done}, nil
}

// pgTx is a transaction of pgx that must end in time.
type pgTx struct {
	driver.Tx
	done context.CancelFunc
}

func (t pgTx) Commit() error {
	defer t.done()
	return t.Tx.Commit()
}

func (t pgTx) Rollback() error {
	defer t.done()
	return t.Tx.Rollback()
}

func (c *pgConn) Ping(ctx context.Context) error {
	ctx, done := context.WithTimeout(ctx, min(c.time, answerTime))
	defer done()
	return c.Conn.Ping(ctx)
}

// ResetSession asks a connection that was idle whether it lives, before it is used again.
func (c *pgConn) ResetSession(ctx context.Context) error {
	ctx, done := context.WithTimeout(ctx, min(c.time, answerTime))
	defer done()
	return c.Conn.ResetSession(ctx)
}

// CheckNamedValue makes of an argument what both engines keep alike: truth is a
// number, and text has neither NUL nor bytes that are not UTF-8.
func (c *pgConn) CheckNamedValue(v *driver.NamedValue) error {
	x, err := driver.DefaultParameterConverter.ConvertValue(v.Value)
	if err != nil {
		return err
	}
	switch y := x.(type) {
	case bool:
		x = int64(0)
		if y {
			x = int64(1)
		}
	case string:
		x = clean(y)
	}
	v.Value = x
	return nil
}
