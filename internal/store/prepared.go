package store

import (
	"context"
	"database/sql"
	"sync"
)

// prepared keeps statements of the reading connections that are asked again and again, for
// on SQLite reading the text costs more than what it asks for. pgx does that by itself.
// Only texts of which there are few belong here.
type prepared struct {
	mu    sync.Mutex
	known map[string]*sql.Stmt
}

// query asks the readers with a statement that is kept ready.
func (s *Store) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if s.pg != nil {
		return s.read.QueryContext(ctx, text, args...)
	}
	stmt, err := s.prepared.of(ctx, s.read, text)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

func (p *prepared) of(ctx context.Context, db *sql.DB, text string) (*sql.Stmt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if stmt := p.known[text]; stmt != nil {
		return stmt, nil
	}
	stmt, err := db.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	if p.known == nil {
		p.known = map[string]*sql.Stmt{}
	}
	p.known[text] = stmt
	return stmt, nil
}

// ready are the readers with statements that are kept, as a querier.
type ready struct{ s *Store }

func (r ready) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	return r.s.query(ctx, text, args...)
}

func (r ready) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	return r.s.read.QueryRowContext(ctx, text, args...)
}
