package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Bounds of rejected requests, per source.
const (
	RejectedRows  = 1000
	RejectedBytes = 16 << 20
	// RejectedBody is how much of a body is kept unless it is in quarantine.
	RejectedBody = 64 << 10
)

// ErrQuarantineFull says that a source's quarantine has no room: its owner has to look first.
var ErrQuarantineFull = hook.Errorf(hook.CodeTooLarge, "the quarantine of this source is full")

// Reject keeps a rejected request and gives it its ID. The oldest of its source
// make room, but never those in quarantine: when they fill the bounds by
// themselves, one more of them is ErrQuarantineFull.
func (s *Store) Reject(ctx context.Context, r *hook.Rejected) error {
	if !r.Quarantined && len(r.Body) > RejectedBody {
		r.Body = r.Body[:RejectedBody]
	}
	r.Reason, r.Remote, r.Method, r.URL = clean(r.Reason), clean(r.Remote), clean(r.Method), clean(r.URL)
	return s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if r.Quarantined {
			if err := quarantineRoom(ctx, tx, r); err != nil {
				return err
			}
		}
		r.ID = s.writer.key(time.Now(), 1)
		const q = `INSERT INTO rejected (id, org_id, source_id, reason, received_at, remote, method, url, headers, body, size, quarantined, accepted)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)`
		_, err := tx.ExecContext(ctx, q, r.ID, r.Org, r.Source, r.Reason, ms(r.ReceivedAt), r.Remote, r.Method, r.URL, encodeHeaders(r.Headers), blob(r.Body), r.Size, r.Quarantined)
		if err != nil {
			return err
		}
		return trimRejected(ctx, tx, r.Source)
	})
}

func quarantineRoom(ctx context.Context, tx *sql.Conn, r *hook.Rejected) error {
	var rows, bytes int64
	const q = "SELECT count(*), coalesce(sum(length(body)), 0) FROM rejected WHERE source_id = ? AND quarantined = 1 AND accepted = 0"
	if err := tx.QueryRowContext(ctx, q, r.Source).Scan(&rows, &bytes); err != nil {
		return err
	}
	if rows >= RejectedRows || bytes+int64(len(r.Body)) > RejectedBytes {
		return ErrQuarantineFull
	}
	return nil
}

// trimRejected deletes what is over the bounds, the oldest first.
func trimRejected(ctx context.Context, tx *sql.Conn, source hook.Key) error {
	const q = `DELETE FROM rejected WHERE id IN (
		SELECT id FROM (
			SELECT id, quarantined, accepted, row_number() OVER newest AS n, sum(length(body)) OVER newest AS bytes
			FROM rejected WHERE source_id = ? WINDOW newest AS (ORDER BY id DESC)) AS sized
		WHERE (n > ? OR bytes > ?) AND (quarantined = 0 OR accepted <> 0))`
	_, err := tx.ExecContext(ctx, q, source, RejectedRows, RejectedBytes)
	return err
}

const rejectedColumns = "id, org_id, source_id, reason, received_at, remote, method, url, headers, size, quarantined, accepted"

func scanRejected(row scanner, more ...any) (hook.Rejected, error) {
	var r hook.Rejected
	var received int64
	var headers []byte
	into := []any{&r.ID, &r.Org, &r.Source, &r.Reason, &received, &r.Remote, &r.Method, &r.URL, &headers, &r.Size, &r.Quarantined, &r.Accepted}
	if err := row.Scan(append(into, more...)...); err != nil {
		return r, err
	}
	r.ReceivedAt = fromMS(received)
	var err error
	r.Headers, err = decodeHeaders(headers)
	return r, err
}

// ListRejected lists rejected requests of a source (0: of all) without bodies,
// the newest first, older than before when that is not 0.
func (s *Store) ListRejected(ctx context.Context, source, before hook.Key, limit int) ([]hook.Rejected, error) {
	if before == 0 {
		before = 1<<63 - 1
	}
	q, args := "SELECT "+rejectedColumns+" FROM rejected WHERE id < ?", []any{before}
	if source != 0 {
		q, args = q+" AND source_id = ?", append(args, source)
	}
	rows, err := s.read.QueryContext(ctx, q+" ORDER BY id DESC LIMIT ?", append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("list rejected requests: %w", err)
	}
	defer rows.Close()
	var list []hook.Rejected
	for rows.Next() {
		r, err := scanRejected(rows)
		if err != nil {
			return nil, fmt.Errorf("list rejected requests: %w", err)
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// Rejected reads one rejected request with its body.
func (s *Store) Rejected(ctx context.Context, k hook.Key) (*hook.Rejected, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT "+rejectedColumns+", body FROM rejected WHERE id = ?", k)
	if err != nil {
		return nil, fmt.Errorf("read rejected request: %w", err)
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("read rejected request: %w", err)
		}
		return nil, hook.Errorf(hook.CodeNotFound, "there is no rejected request %s; it may have made room for newer ones", s.ids.Public(hook.KindRejected, k))
	}
	var body []byte
	r, err := scanRejected(rows, &body)
	if err != nil {
		return nil, fmt.Errorf("read rejected request: %w", err)
	}
	r.Body = body
	return &r, nil
}

// MarkAccepted notes that a rejected request became a message.
func (s *Store) MarkAccepted(ctx context.Context, rejected, message hook.Key) error {
	n, err := s.changeState(ctx, "UPDATE rejected SET accepted = ? WHERE id = ?", message, rejected)
	if err == nil && n == 0 {
		return hook.Errorf(hook.CodeNotFound, "there is no rejected request %s", s.ids.Public(hook.KindRejected, rejected))
	}
	return err
}
