package hook

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func testIDs() *IDs { return NewIDs([IDSecretSize]byte{1, 2, 3}) }

func TestPublicIDsComeBackAndSortByTime(t *testing.T) {
	t.Parallel()
	ids := testIDs()
	keys := []Key{0, 1, 1 << 14, KeyAt(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)), 1<<63 - 1}
	for _, kind := range []Kind{KindMessage, KindEndpoint, KindAttempt, KindOrganization, KindSource} {
		var public []string
		for _, k := range keys {
			s := ids.Public(kind, k)
			if want := len(kind) + 27; kind != KindSource && len(s) != want {
				t.Errorf("%s has %d characters, %d are right", s, len(s), want)
			}
			got, err := ids.Key(kind, s)
			if err != nil || got != k {
				t.Errorf("%s gives %d, %v; %d is right", s, got, err, k)
			}
			public = append(public, s)
		}
		if !slices.IsSorted(public) {
			t.Errorf("ids do not sort by key: %v", public)
		}
	}
	if s := ids.Public(KindSource, 7); len(s) != len("src_")+22 {
		t.Errorf("source id %s", s)
	}
}

func TestForgedIDsAreNotFound(t *testing.T) {
	t.Parallel()
	ids := testIDs()
	whole := ids.Public(KindMessage, 123456789)
	tail := []byte(whole)
	tail[len(tail)-1] ^= 1
	other := NewIDs([IDSecretSize]byte{9})
	for name, s := range map[string]string{
		"empty": "", "prefix only": "msg_", "another kind": "ep_" + whole[4:], "changed": string(tail), "shorter": whole[:20],
		"not base62": "msg_" + strings.Repeat("!", 27), "too great": "msg_" + strings.Repeat("z", 27), "of another store": other.Public(KindMessage, 123456789),
		"long": strings.Repeat("x", 5000),
	} {
		_, err := ids.Key(KindMessage, s)
		if CodeOf(err) != CodeNotFound {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && len(err.Error()) > 200 {
			t.Errorf("%s: an error of %d characters", name, len(err.Error()))
		}
	}
}

func TestKeysRiseStrictlyWhateverTheClockDoes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := NewKeySequence(3, KeyAt(now)+5)
	r := rand.New(rand.NewPCG(1, 2))
	last := KeyAt(now) + 5
	for range 20_000 {
		n := 1 + r.IntN(2000)
		at := now.Add(time.Duration(r.IntN(5)-2) * time.Hour) // forth and back
		first := s.Take(at, n)
		if first <= last {
			t.Fatalf("key %d after %d", first, last)
		}
		last = first + Key(n-1)
		if node := last >> sequenceBits & (1<<nodeBits - 1); node != 3 || first>>sequenceBits != last>>sequenceBits {
			t.Fatalf("a run of %d from %d leaves its millisecond or node", n, first)
		}
	}
}

func TestKeysOfManyGoroutinesAreDistinct(t *testing.T) {
	t.Parallel()
	s := NewKeySequence(1, 0)
	var mu sync.Mutex
	seen := map[Key]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				k := s.Take(time.Now(), 2)
				mu.Lock()
				if seen[k] || seen[k+1] {
					t.Errorf("key %d twice", k)
				}
				seen[k], seen[k+1] = true, true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

func TestKeyTimeIsWhenItWasMade(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 10, 11, 12, 345e6, time.UTC)
	if got := NewKeySequence(0, 0).Take(now, 1).Time(); !got.Equal(now) {
		t.Errorf("%v, %v is right", got, now)
	}
	if KeyAt(Epoch.Add(-time.Hour)) != 0 {
		t.Error("before the epoch there is a key")
	}
	if last := KeyAt(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)); last != 1<<63-1 {
		t.Errorf("after the last instant of keys: %d", last)
	}
}

func TestMatchEventType(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, eventType string
		want               bool
	}{
		{"veriff.decision.approved", "veriff.decision.approved", true},
		{"veriff.decision.approved", "veriff.decision.approved2", false},
		{"veriff.decision.*", "veriff.decision.approved", true},
		{"veriff.decision.*", "veriff.decision", false},
		{"veriff.*.approved", "veriff.decision.approved", true},
		{"*.approved", "veriff.decision.approved", true},
		{"*", "anything", true},
		{"a*b*c", "aXbYbZc", true},
		{"a*b*c", "ac", false},
		{"a*a", "a", false},
		{"", "x", false},
	} {
		if got := MatchEventType(c.pattern, c.eventType); got != c.want {
			t.Errorf("%q against %q: %v", c.pattern, c.eventType, got)
		}
	}
}
