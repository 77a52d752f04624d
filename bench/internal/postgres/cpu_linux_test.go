package postgres

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestMain lets the test binary play a child that works until it is killed, or for a while.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "work" {
		for began := time.Now(); time.Since(began) < time.Minute; { // it is killed long before
		}
	}
	if len(os.Args) == 2 && os.Args[1] == "work-a-while" {
		for began := time.Now(); time.Since(began) < time.Second; {
			if cpu, err := cpuOf(os.Getpid()); err != nil || cpu > 50*time.Millisecond {
				return
			}
		}
		return
	}
	os.Exit(m.Run())
}

// The test is the parent of both children, so it is not parallel to others that have some.
func TestCPUIsThatOfChildrenToo(t *testing.T) {
	before, err := cpuOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	ended := exec.Command(os.Args[0], "work-a-while")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	took := ended.ProcessState.UserTime() + ended.ProcessState.SystemTime()
	after, err := cpuOf(os.Getpid())
	if err != nil || after-before < took-4*tick {
		t.Errorf("%v more, %v; a child that ended took %v", after-before, err, took)
	}
	living := exec.Command(os.Args[0], "work")
	if err := living.Start(); err != nil {
		t.Fatal(err)
	}
	defer living.Wait() //nolint:errcheck // it was killed
	defer living.Process.Kill()
	own := after
	for deadline := time.Now().Add(20 * time.Second); after < own+100*time.Millisecond; {
		if after, err = cpuOf(os.Getpid()); err != nil || time.Now().After(deadline) {
			t.Fatalf("a child that lives does not count: %v, %v", after-own, err)
		}
	}
	child, err := readStat(living.Process.Pid)
	if err != nil || child.parent != os.Getpid() || child.cpu == 0 {
		t.Errorf("the child is %+v, %v", child, err)
	}
}

func TestStatIsReadBehindAnyName(t *testing.T) {
	t.Parallel()
	const rest = " S 42 7 7 0 -1 4194560 1 2 3 4 10 20 300 4000 20 0 1 0 99"
	for _, name := range []string{"(postgres)", "(a b)", "() 1 2 (x)", "(\n)"} {
		got, err := parseStat([]byte("7 " + name + rest))
		if err != nil || got.parent != 42 || got.cpu != 4330*tick {
			t.Errorf("%q: %+v, %v", name, got, err)
		}
	}
	for _, bad := range []string{"", "7 (x) S", "7 (x) S x 7 7 0 -1 4194560 1 2 3 4 10 20 300 4000", "7 (x) S 4 7 7 0 -1 4194560 1 2 3 4 10 x 300 4000"} {
		if got, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q was read as %+v", bad, got)
		}
	}
	if _, err := readStat(1 << 30); err != errGone {
		t.Errorf("error %v of a process that is not there", err)
	}
}
