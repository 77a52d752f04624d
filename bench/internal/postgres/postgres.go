// Package postgres is the PostgreSQL of the bench: one that keeps what it has committed,
// as yours does, and says what it cost. It is ended with the bench and its data are removed.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sigpost/sigpost/internal/store/storetest/pgserver"
)

// Settings are those that differ from PostgreSQL's own: memory as on a small server, and
// no checkpoint but those that are asked for, so that one does not come in one run and not
// in another. Syncs, full pages and autovacuum are named because everything stands on
// them; they are PostgreSQL's own, too.
func Settings() []string {
	return []string{
		"fsync=on", "synchronous_commit=on", "full_page_writes=on", "autovacuum=on",
		"shared_buffers=1GB", "checkpoint_timeout=1h", "max_wal_size=16GB", "wal_keep_size=4GB", "max_connections=200",
	}
}

// Server is a running PostgreSQL.
type Server struct {
	server *pgserver.Server
	admin  *pgx.Conn // to the database that is called postgres
}

// Available is nil where PostgreSQL can be measured; the error says why it cannot.
func Available() error {
	if _, err := cpuOf(1); errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("what PostgreSQL costs is known on Linux only")
	}
	_, err := pgserver.Programs()
	return err
}

// Start makes a server with its files in a directory below dir. Close it.
func Start(ctx context.Context, dir string) (*Server, error) {
	server, err := pgserver.Start(pgserver.Options{Dir: dir, Settings: Settings()})
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL below %s: %w; where its user may not go there, choose another -dir", dir, err)
	}
	s := &Server{server: server}
	if s.admin, err = pgx.Connect(ctx, server.URL("postgres")); err != nil {
		return nil, errors.Join(err, server.Close())
	}
	return s, nil
}

// Close stops the server and removes its files.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s.admin.Close(ctx) //nolint:errcheck // the server ends now anyway
	return s.server.Close()
}

// URL is that of a database.
func (s *Server) URL(database string) string { return s.server.URL(database) }

// Create makes a database without anything in it, and returns its URL.
func (s *Server) Create(ctx context.Context, database string) (string, error) {
	if _, err := s.admin.Exec(ctx, "CREATE DATABASE "+database+" TEMPLATE template0"); err != nil {
		return "", fmt.Errorf("make database %s: %w", database, err)
	}
	return s.URL(database), nil
}

// Drop removes a database, with whoever is still connected.
func (s *Server) Drop(ctx context.Context, database string) error {
	if _, err := s.admin.Exec(ctx, "DROP DATABASE "+database+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("remove database %s: %w", database, err)
	}
	return nil
}

// Checkpoint brings everything home. From then on the first change of each page
// writes the whole page into the log.
func (s *Server) Checkpoint(ctx context.Context) error {
	if _, err := s.admin.Exec(ctx, "CHECKPOINT"); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

// Set changes a setting of the running server; an empty value takes it back.
func (s *Server) Set(ctx context.Context, name, value string) error {
	change := "ALTER SYSTEM RESET " + name
	if value != "" {
		change = fmt.Sprintf("ALTER SYSTEM SET %s = '%s'", name, value)
	}
	for _, text := range []string{change, "SELECT pg_reload_conf()"} {
		if _, err := s.admin.Exec(ctx, text); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// Exec runs SQL in a database.
func (s *Server) Exec(ctx context.Context, database, text string) error {
	return s.in(ctx, database, func(c *pgx.Conn) error {
		_, err := c.Exec(ctx, text)
		return err
	})
}

// in has f use a connection to a database.
func (s *Server) in(ctx context.Context, database string, f func(c *pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, s.URL(database))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return f(conn)
}

// Size is how large a database is on disk, in bytes.
func (s *Server) Size(ctx context.Context, database string) (bytes int64, err error) {
	if err = s.admin.QueryRow(ctx, "SELECT pg_database_size($1)", database).Scan(&bytes); err != nil {
		err = fmt.Errorf("see how large %s is: %w", database, err)
	}
	return bytes, err
}

// Version is PostgreSQL's, for the report.
func (s *Server) Version(ctx context.Context) (v string, err error) {
	err = s.admin.QueryRow(ctx, "SHOW server_version").Scan(&v)
	return v, err
}
