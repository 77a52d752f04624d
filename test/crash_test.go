package test

import (
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// inFlight is how many deliveries to one endpoint may have been made without being on record:
// its attempts under way, those that wait to be recorded, and those that are being recorded.
// So many, and no more, may come again after a kill.
const inFlight = hook.DefaultConcurrency + 2*256

// crashRounds is how often a crash test kills: CRASH_ROUNDS, or 20.
func crashRounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("CRASH_ROUNDS")
	if text == "" {
		return 20
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("CRASH_ROUNDS=%s: give a number of rounds", text)
	}
	return n
}

// timeLeft says whether a test that goes on as long as it is let may begin another round.
func timeLeft(t *testing.T) bool {
	end, bounded := t.Deadline()
	return !bounded || time.Until(end) > 2*time.Minute
}

// Acknowledged means kept: the process is killed in the middle of a burst, of its start, of a
// checkpoint, of the deletion of what is old, of a rotation of secrets and of tasks, again and
// again. Every event that was answered with 2xx is in the store byte for byte and arrives, the
// first within two seconds of the start; nothing else arrives; and what comes twice was in flight.
func TestCrashLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := newHarm(t, dir, filepath.Join(dir, "data"))
	h.fillOld(h.data)
	h.kill = func() { h.p.kill() }
	h.look = func() string { return filepath.Join(h.data, "sigpost.db") }
	h.logSize = func() int {
		info, err := os.Stat(h.look() + "-wal")
		if err != nil {
			return 0
		}
		return int(info.Size())
	}
	h.rounds(crashRounds(t))
}

// rounds kills so often, and checks after each kill.
func (h *harm) rounds(rounds int) {
	receiver := httptest.NewServer(h)
	defer receiver.Close()
	h.begin(receiver.URL)
	done := 0
	for ; done < rounds && timeLeft(h.t) && !h.t.Failed(); done++ {
		h.round(done)
	}
	h.end()
	if done < rounds && !h.t.Failed() {
		h.t.Logf("%d of %d rounds in the time there was", done, rounds)
	}
	if h.kept < done {
		h.t.Errorf("only %d events were acknowledged in %d rounds", h.kept, done)
	}
	h.t.Logf("%d acknowledged in %d rounds with %d kills, all kept and arrived; %d answers were lost; %d came again, at most %d after one kill",
		h.kept, done, h.kills, h.unknown, h.repeats, h.most)
}

// round is a life of the server that ends with a kill, some that end before they have begun, and
// one in which everything is looked at.
func (h *harm) round(round int) {
	h.start()
	h.burst(round, time.Duration(h.random.IntN(300)+30)*time.Millisecond)
	h.ok.started()
	left := h.ok.missing()
	for range h.random.IntN(3) {
		h.p = launch(h.t, binary, h.config)
		<-time.After(time.Duration(h.random.Int64N(int64(h.took) + 1)))
		h.kill()
		h.kills++
	}
	begun := time.Now()
	h.start()
	h.sendAgain()
	await(h.t, h.ok, h.p)
	h.ok.mu.Lock()
	first, again := h.ok.first, h.ok.again
	h.ok.mu.Unlock()
	if took := first.Sub(begun); left > 0 && took > 2*time.Second && !h.big {
		h.t.Errorf("round %d: the first of %d came %v after the start", round, left, took)
	}
	h.repeats, h.most = h.repeats+again, max(h.most, again)
	h.ok.check(h.t, inFlight)
	h.readBack()
	h.secretHolds()
	h.tasksEnd()
	if h.random.IntN(2) == 0 { // else the next kill hits what this life has begun
		h.p.stop()
		h.settle()
	} else {
		h.kill()
	}
}

// settle says that the server was stopped in order: what has arrived is on record, and must not come again.
func (h *harm) settle() {
	h.ok.settle()
	h.kept += len(h.ok.promises())
	h.ok.forget()
}

// burst works from several connections and kills the server after a while, or, where it makes
// the log long enough for a checkpoint, when that is under way.
func (h *harm) burst(round int, after time.Duration) {
	h.big = h.random.IntN(10) == 0
	stop := make(chan struct{})
	working := h.work(round, stop)
	if h.big {
		h.awaitCheckpoint()
	}
	<-time.After(after)
	h.kill()
	h.kills++
	close(stop)
	working.Wait()
}

// awaitCheckpoint waits until the log is as long as when it is copied into the database.
func (h *harm) awaitCheckpoint() {
	for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(5 * time.Millisecond) {
		if h.logSize() > 32<<20 {
			return
		}
	}
	h.t.Error("the log did not grow")
}

func newHarm(t *testing.T, dir, data string) *harm {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("CRASH_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("CRASH_SEED=%s: %v", text, err)
		}
		seed = n
	}
	t.Logf("seed %d (again: CRASH_SEED)", seed)
	h := &harm{t: t, data: data, dir: dir, ok: newLedger(), byAPI: map[string]bool{}, random: rand.New(rand.NewPCG(seed, 0)), took: 50 * time.Millisecond}
	h.ok.watch()
	return h
}

func event(round, worker, n int, fill string) string {
	return fmt.Sprintf(`{"id":"%d-%d-%d","feature":"selfid","code":7001,"action":"started","fill":"%s"}`, round, worker, n, fill)
}
