package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// A node has a number, which its keys contain, and an incarnation, which its
// deliveries name as their holder. Both are kept alive by beats, by the clock of the
// database. An incarnation that was not seen for 20 s is dead: whoever claims next
// takes what it held. A node that finds its own incarnation dead begins another: the
// old one never beats again, what it held is claimable, also by this node, and what
// it still has to record under the old one counts only where nobody has claimed
// the delivery meanwhile. The same happens when a connection broke while something was
// being held, for then nobody knows what is in memory and what is not.

// numberRest is how long a number of a node that vanished is left alone, in ages
// of an incarnation: its keys must not meet those of a node that was only frozen.
const numberRest = 30

// beginNode takes a number, begins an incarnation and gives the sequence of keys.
func (s *Store) beginNode(ctx context.Context) (*hook.KeySequence, error) {
	last, err := s.lastKey(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	forget := "DELETE FROM incarnations WHERE seen_at < now() - " + interval(numberRest*s.pg.age) + " AND id NOT IN (SELECT holder FROM deliveries WHERE state = 1)"
	if _, err := conn.ExecContext(ctx, forget); err != nil {
		return nil, fmt.Errorf("forget incarnations: %w", err)
	}
	node, err := s.takeNumber(ctx, conn)
	if err != nil {
		return nil, err
	}
	keys := hook.NewKeySequence(uint8(node), last)
	incarnation, err := s.addIncarnation(ctx, conn, node, keys)
	if err != nil {
		return nil, err
	}
	if err := s.addDefaultOrg(ctx, time.Now()); err != nil {
		return nil, err
	}
	s.incarnation.Store(int64(incarnation))
	s.pg.node.Store(int32(node))
	return keys, nil
}

// takeNumber takes the number that was given back the longest ago or never used,
// else that of a node that vanished long ago. The caller has openLock.
func (s *Store) takeNumber(ctx context.Context, conn *sql.Conn) (node int, err error) {
	q := `INSERT INTO nodes (id, incarnation, seen_at)
		SELECT n, 1, now() FROM generate_series(0, 255) AS n LEFT JOIN nodes x ON x.id = n
			WHERE x.id IS NULL OR x.incarnation = 0 OR x.seen_at < now() - ` + interval(numberRest*s.pg.age) + `
			ORDER BY coalesce(x.incarnation, 0) <> 0, x.seen_at NULLS FIRST, n LIMIT 1
		ON CONFLICT (id) DO UPDATE SET incarnation = excluded.incarnation, seen_at = excluded.seen_at RETURNING id`
	err = conn.QueryRowContext(ctx, q).Scan(&node)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, hook.Errorf(hook.CodeConflict, "256 nodes use this database, the most there may be; stop one, or wait %v after one that vanished", numberRest*s.pg.age)
	}
	if err != nil {
		return 0, fmt.Errorf("take a node's number: %w", err)
	}
	return node, nil
}

// addIncarnation makes a new incarnation the one of a node.
func (s *Store) addIncarnation(ctx context.Context, conn *sql.Conn, node int, keys *hook.KeySequence) (hook.Key, error) {
	now := time.Now()
	k := keys.Take(now, 1)
	if _, err := conn.ExecContext(ctx, "INSERT INTO incarnations (id, node, started_at, seen_at) VALUES (?, ?, ?, now())", k, node, ms(now)); err != nil {
		return 0, fmt.Errorf("begin incarnation: %w", err)
	}
	if err := one(conn.ExecContext(ctx, "UPDATE nodes SET incarnation = ?, seen_at = now(), behind = "+sqlBehind+" WHERE id = ?", k, ms(now), node)); err != nil {
		return 0, fmt.Errorf("begin incarnation: %w", err)
	}
	return k, nil
}

// sqlBehind is how far a clock is behind the database's, in milliseconds.
const sqlBehind = "greatest(0, CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) - ?)"

// Beat says that this incarnation is alive. When it is dead already, or may hold
// what nobody has in memory, the node begins another; Incarnation tells. Where no
// other process can have the store, it does nothing.
func (s *Store) Beat(ctx context.Context) error {
	if s.pg == nil {
		return nil
	}
	doubt := s.pg.doubt.Load()
	if !doubt {
		q := `WITH seen AS (UPDATE incarnations SET seen_at = now() WHERE id = ? AND seen_at > now() - ` + interval(s.pg.age) + ` RETURNING id)
			UPDATE nodes SET behind = ` + sqlBehind + `, seen_at = now() FROM seen WHERE nodes.id = ? AND nodes.incarnation = seen.id`
		res, err := s.write.ExecContext(ctx, q, s.Incarnation(), ms(time.Now()), s.pg.node.Load())
		if err != nil {
			return fmt.Errorf("beat: %w", err)
		}
		n, err := res.RowsAffected()
		if err != nil || n == 1 {
			return err
		}
	}
	s.pg.doubt.Store(false)
	if err := s.begetAgain(ctx); err != nil {
		s.pg.doubt.Store(true) // the next beat tries again
		return fmt.Errorf("begin another incarnation: %w", err)
	}
	return nil
}

// begetAgain begins another incarnation, under another number when this one's was
// given to another node meanwhile. It runs as the writer, whose keys it may change.
func (s *Store) begetAgain(ctx context.Context) error {
	old := s.Incarnation()
	var fresh hook.Key
	node := int(s.pg.node.Load())
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		own, err := exists(ctx, tx, "SELECT 1 FROM nodes WHERE id = ? AND incarnation = ?", node, old)
		if err != nil {
			return err
		}
		if !own {
			if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(?)", openLock); err != nil {
				return err
			}
			if node, err = s.takeNumber(ctx, tx); err != nil {
				return err
			}
			s.writer.keys = hook.NewKeySequence(uint8(node), s.writer.keys.Take(time.Now(), 1))
		}
		// The old one may have been forgotten, and something may still be kept under it:
		// only what is listed can be claimed from.
		const list = "INSERT INTO incarnations (id, node, started_at, seen_at) VALUES (?, ?, ?, '-infinity') ON CONFLICT DO NOTHING"
		if _, err := tx.ExecContext(ctx, list, old, node, ms(old.Time())); err != nil {
			return err
		}
		fresh, err = s.addIncarnation(ctx, tx, node, s.writer.keys)
		return err
	})
	if err != nil {
		return err
	}
	s.incarnation.Store(int64(fresh))
	s.pg.node.Store(int32(node))
	s.pg.log.Warn("new incarnation", "old", int64(old), "new", int64(fresh), "node", node)
	return nil
}

// RunHeartbeat beats every five seconds until ctx ends, and then returns nil. A beat
// that fails is tried again; after 20 s without one, others take over.
func (s *Store) RunHeartbeat(ctx context.Context) error {
	if s.pg == nil {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		try, cancel := context.WithTimeout(ctx, beatEvery)
		err := s.Beat(try)
		cancel()
		if err != nil && ctx.Err() == nil {
			s.pg.log.Warn("heartbeat failed", "error", err)
		}
	}
}

// leave hands over. When the server was gone a moment ago, connections that were idle
// are broken and do not know it.
func (s *Store) leave(ctx context.Context) (err error) {
	for range writers + 1 {
		if err = s.endIncarnation(ctx); !postgresTrouble(err) {
			return err
		}
	}
	return err
}

// endIncarnation makes this incarnation dead and gives its number back.
func (s *Store) endIncarnation(ctx context.Context) error {
	if _, err := s.write.ExecContext(ctx, "UPDATE incarnations SET seen_at = '-infinity' WHERE id = ?", s.Incarnation()); err != nil {
		return fmt.Errorf("end incarnation: %w", err)
	}
	_, err := s.write.ExecContext(ctx, "UPDATE nodes SET incarnation = 0, seen_at = now() WHERE id = ? AND incarnation = ?", s.pg.node.Load(), s.Incarnation())
	if err != nil {
		return fmt.Errorf("give the node's number back: %w", err)
	}
	return nil
}
