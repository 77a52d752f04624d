package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"sync"
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
	if _, err := conn.ExecContext(ctx, s.pg.sqlForgetIncarnations()); err != nil {
		return nil, fmt.Errorf("forget incarnations: %w", err)
	}
	node, err := s.takeNumber(ctx, conn)
	if err != nil {
		return nil, err
	}
	if err := s.readClock(ctx); err != nil {
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
	s.pg.former.seen(time.Now())
	return keys, nil
}

// takeNumber takes the number that was given back the longest ago or never used,
// else that of a node that vanished long ago. The caller has openLock.
func (s *Store) takeNumber(ctx context.Context, conn *sql.Conn) (node int, err error) {
	err = conn.QueryRowContext(ctx, s.pg.sqlTakeNumber()).Scan(&node)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, hook.Errorf(hook.CodeConflict, "256 nodes use this database, the most there may be; stop one, or wait %v after one that vanished", numberRest*s.pg.age)
	}
	if err != nil {
		return 0, fmt.Errorf("take a node's number: %w", err)
	}
	return node, nil
}

// admitMigration refuses a schema that nodes which live could not work with: oldest is
// that of the oldest binary which can.
func (s *Store) admitMigration(ctx context.Context, have, to, oldest int64) error {
	if s.pg == nil {
		return nil
	}
	built := "schema"
	if have < schemaOfNodes { // they did not say yet
		built = "1"
	}
	var alive string
	if err := s.write.QueryRowContext(ctx, s.pg.sqlOlderNodes(built), oldest).Scan(&alive); err != nil {
		return fmt.Errorf("look for nodes: %w", err)
	}
	if alive == "" {
		return nil
	}
	return hook.Errorf(hook.CodeConflict, "schema %d works with binaries of schema %d and newer, and older nodes run on this database: %s; "+
		"stop them, or bring them to such a binary first, then start this one again (a node that was killed counts for %v). Nothing was changed", to, oldest, alive, s.pg.age)
}

// schemaOfNodes is the first schema in which nodes say for which they were built.
const schemaOfNodes = 2

// addIncarnation makes a new incarnation the one of a node.
func (s *Store) addIncarnation(ctx context.Context, conn *sql.Conn, node int, keys *hook.KeySequence) (hook.Key, error) {
	now := time.Now()
	k := keys.Take(s.keyTime(now), 1)
	if _, err := conn.ExecContext(ctx, sqlAddIncarnation, k, node, ms(now)); err != nil {
		return 0, fmt.Errorf("begin incarnation: %w", err)
	}
	if err := one(conn.ExecContext(ctx, sqlNameIncarnation, k, s.schema, ms(s.keyTime(now)), node)); err != nil {
		return 0, fmt.Errorf("begin incarnation: %w", err)
	}
	return k, nil
}

// Beat says that this incarnation is alive. When it is dead already, or may hold
// what nobody has in memory, the node begins another; Incarnation tells. Where no
// other process can have the store, it does nothing.
func (s *Store) Beat(ctx context.Context) error {
	if s.pg == nil {
		return nil
	}
	return s.beatAs(ctx, s.pg.session)
}

// beatAs is Beat with the name of the sessions that others end when this node is dead. A process
// that has only opened the store says none: it may be a command that does not beat.
func (s *Store) beatAs(ctx context.Context, session string) error {
	now, dead := time.Now(), false
	if !s.pg.doubt.Load() {
		var nodes int32
		row := s.write.QueryRowContext(ctx, s.pg.sqlBeat(), s.Incarnation(), ms(s.keyTime(now)), session, s.pg.node.Load())
		err := s.pg.read(row, now, &nodes)
		if err == nil {
			s.pg.nodes.Store(nodes)
			s.pg.former.seen(now)
			return nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("beat: %w", err)
		}
		dead = true
	}
	s.pg.doubt.Store(false)
	if err := s.begetAgain(ctx, dead); err != nil {
		s.pg.doubt.Store(true) // the next beat tries again
		return fmt.Errorf("begin another incarnation: %w", err)
	}
	return nil
}

// begetAgain begins another incarnation, under another number when this one's was
// given to another node meanwhile. It runs as the writer, whose keys it may change. dead
// says that the database has the old one for dead.
func (s *Store) begetAgain(ctx context.Context, dead bool) error {
	old, begun := s.Incarnation(), time.Now()
	var fresh hook.Key
	node := int(s.pg.node.Load())
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		// While it was silent others may have migrated what it would have kept from them.
		oldest, err := s.oldestSchema(ctx, tx, s.schema)
		if err != nil {
			return err
		}
		if oldest > s.schema {
			return hook.Errorf(hook.CodeConflict, "%w: it works with binaries of schema %d and newer, this one is of %d; start a newer version", errOutdated, oldest, s.schema)
		}
		own, err := exists(ctx, tx, "SELECT 1 FROM nodes WHERE id = ? AND incarnation = ?", node, old)
		if err != nil {
			return err
		}
		if !own {
			if _, err := tx.ExecContext(ctx, sqlLock, openLock); err != nil {
				return err
			}
			if node, err = s.takeNumber(ctx, tx); err != nil {
				return err
			}
			s.writer.keys = hook.NewKeySequence(uint8(node), s.writer.key(time.Now(), 1))
		}
		// The old one may have been forgotten, and something may still be kept under it:
		// only what is listed can be claimed from.
		if _, err := tx.ExecContext(ctx, sqlListDead, old, node, ms(old.Time())); err != nil {
			return err
		}
		if fresh, err = s.addIncarnation(ctx, tx, node, s.writer.keys); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE duties SET holder = ? WHERE holder = ?", fresh, old) // it goes on with them
		return err
	})
	if err != nil {
		return err
	}
	s.pg.former.add(old, dead, s.pg.age, begun)
	s.incarnation.Store(int64(fresh))
	s.pg.node.Store(int32(node))
	s.pg.log.Warn("new incarnation", "old", int64(old), "new", int64(fresh), "node", node)
	return nil
}

// Holds says whether what this process has in memory under a holder is still its own: the
// holder is this incarnation, or an earlier one that nobody has for dead yet.
func (s *Store) Holds(holder hook.Key) bool {
	return holder == s.Incarnation() || s.pg != nil && s.pg.former.alive(holder, time.Now())
}

// former are the earlier incarnations of a process, for as long as they count.
type former struct {
	mu   sync.Mutex
	last time.Time              // when a beat of the present one began that came through
	ends map[hook.Key]time.Time // when others have the earlier ones for dead
}

func (f *former) seen(at time.Time) {
	f.mu.Lock()
	f.last = at
	f.mu.Unlock()
}

// add adds what was the present one. Its successor began at begun.
func (f *former) add(old hook.Key, dead bool, age time.Duration, begun time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.ends, func(_ hook.Key, end time.Time) bool { return !begun.Before(end) })
	if !dead {
		if f.ends == nil {
			f.ends = map[hook.Key]time.Time{}
		}
		f.ends[old] = f.last.Add(age)
	}
	f.last = begun
}

func (f *former) alive(k hook.Key, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return now.Before(f.ends[k])
}

// Nodes is how many nodes shared the store at the last beat, this one among them.
func (s *Store) Nodes() int {
	if s.pg == nil {
		return 1
	}
	return max(1, int(s.pg.nodes.Load()))
}

// EndSessions ends what nodes that are dead have left under way: a transaction of theirs
// that the network cut in the middle would keep its rows, or a lock, from those who take
// over, for as long as the database believes in its connection. Only those that
// beat once are looked for: a command that opens the store does not. On SQLite there are none.
func (s *Store) EndSessions(ctx context.Context) error {
	if s.pg == nil {
		return nil
	}
	var dead string
	var ended int
	if err := s.write.QueryRowContext(ctx, s.pg.sqlEndSessions()).Scan(&dead, &ended); err != nil {
		return fmt.Errorf("end sessions of dead nodes: %w", err)
	}
	if ended > 0 {
		s.pg.log.Warn("sessions of silent nodes ended", "nodes", dead, "sessions", ended)
	}
	return nil
}

var errOutdated = errors.New("the database was migrated while this node was silent")

// RunHeartbeat beats every five seconds until ctx ends, and then returns nil. A beat
// that fails is tried again; after 20 s without one, others take over. The error is of
// CodeConflict: this binary cannot work with the database any more. After each beat,
// beaten is told how many nodes share the store.
func (s *Store) RunHeartbeat(ctx context.Context, beaten func(nodes int)) error {
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
		if err == nil {
			beaten(s.Nodes())
			err = errors.Join(s.dropLeftovers(try), s.EndSessions(try))
		}
		cancel()
		if err == nil || ctx.Err() != nil {
			continue
		}
		if errors.Is(err, errOutdated) {
			return err
		}
		s.pg.log.Warn("heartbeat failed", "error", err)
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
	if _, err := s.write.ExecContext(ctx, sqlEndIncarnation, s.Incarnation()); err != nil {
		return fmt.Errorf("end incarnation: %w", err)
	}
	_, err := s.write.ExecContext(ctx, sqlGiveNumber, s.pg.node.Load(), s.Incarnation())
	if err != nil {
		return fmt.Errorf("give the node's number back: %w", err)
	}
	return nil
}
