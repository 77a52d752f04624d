package cli

import "testing"

// What the store keeps makes no garbage, so it must not make room for any.
func TestGarbageDoesNotGrowWithWhatIsKept(t *testing.T) {
	t.Parallel()
	if n := garbage(0); n != garbagePercent {
		t.Errorf("%d %% when nothing is kept", n)
	}
	const room = usuallyLive * garbagePercent / 100
	for _, kept := range []int64{1 << 20, 50 << 20, 150 << 20, 1 << 30} {
		got := (usuallyLive + kept) * int64(garbage(kept)) / 100
		if got > room || got < room*3/4 {
			t.Errorf("room for %d MiB of garbage when %d MiB are kept; %d are right", got>>20, kept>>20, room>>20)
		}
	}
}
