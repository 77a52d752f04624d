package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// connector makes connections that take SQL as it is written for SQLite.
type connector struct {
	driver.Connector
	known *translations
}

// openPool opens a pool of at most n connections.
func openPool(config *pgx.ConnConfig, known *translations, n int) *sql.DB {
	db := sql.OpenDB(connector{stdlib.GetConnector(*config), known})
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
	return &pgConn{std, c.known}, nil
}

// pgConn is a connection of pgx whose texts are translated and whose arguments
// are made such as PostgreSQL can keep.
type pgConn struct {
	*stdlib.Conn
	known *translations
}

func (c *pgConn) Prepare(text string) (driver.Stmt, error) {
	return c.Conn.Prepare(c.known.of(text))
}

func (c *pgConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	return c.Conn.PrepareContext(ctx, c.known.of(text))
}

func (c *pgConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	return c.Conn.ExecContext(ctx, c.known.of(text), args)
}

func (c *pgConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	return c.Conn.QueryContext(ctx, c.known.of(text), args)
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
