package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/bench/internal/machine"
)

func TestPercentileIsTheNearestRank(t *testing.T) {
	t.Parallel()
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = 100 - i
	}
	for _, c := range []struct {
		values []int
		p      float64
		want   int
	}{
		{nil, 50, 0},
		{[]int{7}, 0, 7},
		{[]int{7}, 99, 7},
		{[]int{3, 1, 2}, 50, 2},
		{[]int{4, 1, 3, 2}, 50, 2},
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 99.1, 100},
		{hundred, 100, 100},
	} {
		if got := Percentile(c.values, c.p); got != c.want {
			t.Errorf("p%v of %d values is %d, want %d", c.p, len(c.values), got, c.want)
		}
	}
	if hundred[0] != 100 {
		t.Error("the values were sorted in place")
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	for want, values := range map[float64][]float64{
		0:   nil,
		4:   {4},
		2.5: {4, 1},
		3:   {9, 3, 1},
		5:   {100, 4, 6, 1},
	} {
		if got := Median(values); got != want {
			t.Errorf("median of %v is %v, want %v", values, got, want)
		}
	}
}

func TestRatiosArePairByPair(t *testing.T) {
	t.Parallel()
	if got := Ratios([]float64{6, 10}, []float64{10, 5}); !cmp.Equal(got, []float64{0.6, 2}) {
		t.Errorf("got %v", got)
	}
}

func sample() *Report {
	r := &Report{
		Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Command: "go run ./bench", Plan: "5 pairs of 5 s",
		Machine: machine.Facts{CPU: "Abacus 3", Cores: 2, Memory: "1.0 GiB", Kernel: "linux 6", FileSystem: "ext4 on /dev/vda", Go: "go1.26"},
	}
	r.Add("intake", "sigpost / bare-fsync", Ratio, AtLeast(0.6), "", 0.7, 0.5999, 0.61)
	r.Add("intake", "sigpost", Rate, nil, "a note", 12345.6)
	r.Add("idle", "memory", MiB, AtMost(40), "", 40.01)
	r.Pass("other", "it is not installed")
	return r
}

func TestTableShowsFiguresTargetsAndResults(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := sample().WriteTable(&out); err != nil {
		t.Fatal(err)
	}
	want := `
2026-01-02T03:04:05Z · go run ./bench
Abacus 3, 2 cores, 1.0 GiB · linux 6 · ext4 on /dev/vda · go1.26
5 pairs of 5 s

measurement             figure          min–max    target      result  note
INTAKE                                                                 
  sigpost / bare-fsync  0.61 ×          0.60–0.70  ≥ 0.60 ×    pass    
  sigpost               12346 events/s                                 a note
IDLE                                                                   
  memory                40.0 MiB                   ≤ 40.0 MiB  MISS    
OTHER                                                                  
  passed over                                                          it is not installed
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestFileHoldsTheReport(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "figures.json")
	want := sample()
	if err := want.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got Report
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAGoalIsMetAtItsLimit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		goal  *Goal
		value float64
		met   bool
	}{
		{AtLeast(0.6), 0.6, true}, {AtLeast(0.6), 0.59, false},
		{AtMost(10), 10, true}, {AtMost(10), 10.1, false},
	} {
		if c.goal.Met(c.value) != c.met {
			t.Errorf("%+v met by %v: %v", *c.goal, c.value, !c.met)
		}
	}
}
