package api

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func TestGuessesAreCountedByPairByAddressAndByName(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	here := netip.MustParseAddr("192.0.2.1")
	// many takes n guesses and says how many were let through.
	many := func(g *guesses, n int, at time.Time, name func(int) string, addr func(int) netip.Addr) (let int) {
		for i := range n {
			if g.take(name(i), addr(i), at) == 0 {
				let++
			}
		}
		return let
	}
	one := func(name string) func(int) string { return func(int) string { return name } }
	at := func(a netip.Addr) func(int) netip.Addr { return func(int) netip.Addr { return a } }
	for what, c := range map[string]struct {
		name func(int) string
		addr func(int) netip.Addr
		want int
	}{
		"one name from one address":      {one("ana"), at(here), 5},
		"its case, and spaces around it": {func(i int) string { return []string{"ana", "ANA", " ana "}[i%3] }, at(here), 5},
		"many names from one address":    {func(i int) string { return fmt.Sprint(i) }, at(here), 30},
		"one name from many addresses":   {one("ana"), func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}) }, 50},
		"many addresses of one IPv6 network": {func(i int) string { return fmt.Sprint(i) }, func(i int) netip.Addr {
			return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)})
		}, 30},
		"an address that is not known": {one("ana"), at(netip.Addr{}), 5},
	} {
		g := &guesses{}
		if let := many(g, 200, now, c.name, c.addr); let != c.want {
			t.Errorf("%s: %d guesses were let through, %d are right", what, let, c.want)
		}
	}
	g := &guesses{}
	many(g, 9, now, one("ana"), at(here))
	if wait := g.take("ana", here, now); wait != time.Minute {
		t.Errorf("one has to wait %v", wait)
	}
	if let := many(g, 9, now.Add(2*time.Minute), one("ana"), at(here)); let != 2 {
		t.Errorf("after two minutes %d more were let through", let)
	}
	g.giveBack("ana", here)
	if let := many(g, 9, now.Add(2*time.Minute), one("ana"), at(here)); let != 5 {
		t.Errorf("after a right one %d were let through", let)
	}
}

func TestNoMoreGuessersAreRememberedThanThereIsRoom(t *testing.T) {
	t.Parallel()
	g, now := &guesses{}, time.Now()
	for i := range guessers {
		g.take(fmt.Sprint(i), netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), now)
	}
	if n := len(g.full); n > guessers+3 {
		t.Errorf("%d are remembered", n)
	}
	g.take("x", netip.Addr{}, now.Add(time.Hour))
	if n := len(g.full); n != 3 {
		t.Errorf("an hour later %d are remembered", n)
	}
}
