package password

import (
	"context"
	"runtime/metrics"
	"sync"
	"testing"
)

// What a hash took is garbage until the collector comes, so the heap holds about twice what is
// used at once.
func TestManySignInsAtOnceTakeLittleMemory(t *testing.T) {
	h := New()
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	var mu sync.Mutex
	var peak uint64
	var running sync.WaitGroup
	for range 40 {
		running.Go(func() {
			if _, err := h.Verify(context.Background(), "", "password"); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			metrics.Read(heap)
			peak = max(peak, heap[0].Value.Uint64())
		})
	}
	running.Wait()
	if peak > 128<<20 {
		t.Errorf("the heap had %d MiB", peak>>20)
	}
}
