package api

import (
	"crypto/sha256"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Who guesses passwords is slowed down, in three ways at once: by name and address, which stops
// one guesser without stopping the person; by address, for who tries many names; and by
// name, for who has many addresses. Each counts like GCRA: so many at once, then one each
// pause. A right password gives its try back. Each node counts its own.

// pacing is how many guesses there may be at once, and how long it takes for one more.
type pacing struct {
	burst int
	pause time.Duration
}

var (
	pacedPair    = pacing{5, time.Minute}
	pacedAddress = pacing{30, 10 * time.Second}
	pacedName    = pacing{50, 20 * time.Second}
)

// guessers bounds how many are remembered.
const guessers = 20_000

// guesses remembers who guessed. The zero value is ready.
type guesses struct {
	mu   sync.Mutex
	full map[[32]byte]time.Time // when nothing is counted any more
}

type guessKey struct {
	hash [32]byte
	pace pacing
}

func guessKeys(name string, addr netip.Addr) []guessKey {
	name = strings.ToLower(strings.TrimSpace(name))
	where := network(addr).String()
	hash := func(kind, text string) [32]byte { return sha256.Sum256([]byte(kind + "\x00" + text)) }
	return []guessKey{{hash("pair", name+"\x00"+where), pacedPair}, {hash("address", where), pacedAddress}, {hash("name", name), pacedName}}
}

// network is what one guesser has: an IPv4 address, or 64 bits of IPv6.
func network(addr netip.Addr) netip.Prefix {
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits)
	return p
}

// take counts one guess before it is looked at, so that many at once are not more than one
// after another. wait is how long to wait when there were too many; then none is counted.
func (g *guesses) take(name string, addr netip.Addr, now time.Time) (wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	keys := guessKeys(name, addr)
	for _, k := range keys {
		room := now.Add(time.Duration(k.pace.burst-1) * k.pace.pause)
		if full := g.full[k.hash]; full.After(room) {
			wait = max(wait, full.Sub(room))
		}
	}
	if wait > 0 {
		return wait
	}
	g.makeRoom(now)
	for _, k := range keys {
		from := g.full[k.hash]
		if from.Before(now) {
			from = now
		}
		g.full[k.hash] = from.Add(k.pace.pause)
	}
	return 0
}

// giveBack takes a guess back that was right. What the person did wrong before is forgotten
// for him and his address; the name stays guarded against others.
func (g *guesses) giveBack(name string, addr netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, k := range guessKeys(name, addr) {
		if i == 0 {
			delete(g.full, k.hash)
			continue
		}
		g.full[k.hash] = g.full[k.hash].Add(-k.pace.pause)
	}
}

// makeRoom forgets those that have waited long enough, and if need be any.
func (g *guesses) makeRoom(now time.Time) {
	if g.full == nil {
		g.full = map[[32]byte]time.Time{}
	}
	if len(g.full) < guessers {
		return
	}
	for k, full := range g.full {
		if !full.After(now) {
			delete(g.full, k)
		}
	}
	for k := range g.full { // in no order
		if len(g.full) < guessers {
			return
		}
		delete(g.full, k)
	}
}
