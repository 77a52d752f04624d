package store

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sigpost/sigpost/internal/hook"
)

const (
	// recentShared is how many states a node remembers that it kept itself.
	recentShared = 1 << 14
	// comparedWith is how many of a subject's newest messages a state is compared with when it
	// is kept. Of those with more, each is asked for when it is sent.
	comparedWith = 20
	// trusted is how long what was found when a message was kept is taken to hold: what is
	// sent at once is not looked for a second time. What another node accepts meanwhile
	// can be missed.
	trusted = time.Second
)

// states are those of a batch that this node is about to send, and the messages about the
// same subjects that were there before. They are looked for with the batch, all at
// once: for each by itself it would cost as much as keeping it.
type states struct {
	units  []*write
	about  []int64           // for each the number of its subject, from 1
	before map[int64][]int64 // number of a subject to messages
}

// queueStates adds the look for other messages about the subjects of a batch.
func (b *eventBatch) queueStates(pipe *pgx.Batch) *states {
	s := &states{before: map[int64][]int64{}}
	var owner, terms []int64
	numbers := map[posting]int64{}
	for _, u := range b.units {
		m := &u.append.Message
		if !stateful(m) || !held(u.append) {
			continue
		}
		p := posting{owner: m.Org, term: subjectTerm(m.Subjects[0].Kind, m.Subjects[0].ID)}
		n, known := numbers[p]
		if !known {
			owner, terms = append(owner, int64(p.owner)), append(terms, p.term)
			n = int64(len(terms))
			numbers[p] = n
		}
		s.units, s.about = append(s.units, u), append(s.about, n)
	}
	if len(s.units) == 0 {
		return s
	}
	pipe.Queue(sqlNewestOfMany, owner, terms, int64(comparedWith)).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var n, id int64
			if err := rows.Scan(&n, &id); err != nil {
				return err
			}
			s.before[n] = append(s.before[n], id)
		}
		return rows.Err()
	})
	return s
}

// held says that a delivery of an event is sent from memory.
func held(a *hook.Append) bool {
	for i := range a.Deliveries {
		if a.Deliveries[i].Holder != 0 {
			return true
		}
	}
	return false
}

// kept is a state that was kept before.
type kept struct {
	app              hook.Key
	family, subjects string
	moment           hook.Moment
}

// compare notes which states of a committed batch are older than one that was kept before.
// What cannot be found out now is asked for when it is sent.
func (p *pgWriter) compare(ctx context.Context, s *states) {
	recent := p.store.writer.recent
	var keys []int64
	for _, list := range s.before {
		keys = append(keys, list...)
	}
	found, err := p.readKept(ctx, keys)
	if err != nil {
		p.store.pg.log.Warn("states not compared", "error", err)
		p.clear()
		return
	}
	for i, u := range s.units {
		a := u.append
		if u.err != nil || a.Repeated || a.Duplicate {
			continue
		}
		stale, before := false, s.before[s.about[i]]
		for _, id := range before {
			k, ok := found[id]
			stale = stale || ok && k.newerThan(&a.Message)
		}
		if stale || len(before) < comparedWith {
			recent.compared(&a.Message, stale)
		}
	}
}

func (k *kept) newerThan(m *hook.Message) bool {
	first := "[" + string(appendPair(nil, 0, m.Subjects[0].Kind, m.Subjects[0].ID))
	return k.app == m.App && k.family == m.Family && strings.HasPrefix(k.subjects, first) && m.Moment().Before(k.moment)
}

// readKept reads messages; most often there are none.
func (p *pgWriter) readKept(ctx context.Context, keys []int64) (found map[int64]kept, err error) {
	if len(keys) == 0 {
		return nil, nil
	}
	var pipe pgx.Batch
	pipe.Queue(sqlReadKept, keys).Query(func(rows pgx.Rows) error {
		found = map[int64]kept{}
		for rows.Next() {
			var k kept
			var occurred int64
			if err := rows.Scan(&k.moment.Accepted, &k.app, &k.family, &k.subjects, &occurred, &k.moment.Rank); err != nil {
				return err
			}
			k.moment.OccurredAt = fromMS(occurred)
			found[k.moment.Accepted] = k
		}
		return rows.Err()
	})
	return found, p.send(ctx, &pipe)
}
