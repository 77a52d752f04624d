package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sigpost/sigpost/bench/internal/machine"
)

// Unit is what a figure counts, and decides how it is printed.
type Unit string

// The units.
const (
	Rate         Unit = "events/s"
	Ratio        Unit = "×"
	Milliseconds Unit = "ms"
	KiB          Unit = "KiB"
	MiB          Unit = "MiB"
	Count        Unit = "events"
	Microseconds Unit = "µs"
	Bytes        Unit = "bytes"
	Percent      Unit = "%"
	PerEvent     Unit = "an event"
)

// Goal says on which side of a limit a figure is to lie.
type Goal struct {
	AtLeast bool    `json:"at_least"` // else: at most
	Limit   float64 `json:"limit"`
}

// AtLeast and AtMost are the two kinds of goal.
func AtLeast(limit float64) *Goal { return &Goal{AtLeast: true, Limit: limit} }

// AtMost is a goal from above.
func AtMost(limit float64) *Goal { return &Goal{Limit: limit} }

// Met says whether value reaches the goal.
func (g Goal) Met(value float64) bool {
	if g.AtLeast {
		return value >= g.Limit
	}
	return value <= g.Limit
}

// Row is one figure: the median of its runs.
type Row struct {
	Group string    `json:"group"` // the measurement that it comes from
	Name  string    `json:"name"`
	Unit  Unit      `json:"unit"`
	Value float64   `json:"value"`
	Runs  []float64 `json:"runs"`           // what Value is the median of
	Goal  *Goal     `json:"goal,omitempty"` // nil for a figure that only explains others
	Met   *bool     `json:"met,omitempty"`
	Note  string    `json:"note,omitempty"`
}

// Report is a run of the bench. The zero Report is empty and ready.
type Report struct {
	Date    time.Time     `json:"date"`
	Command string        `json:"command"`
	Machine machine.Facts `json:"machine"`
	Plan    string        `json:"plan"`
	Rows    []Row         `json:"rows"`
}

// Add appends the median of runs as a row. goal may be nil, note empty.
func (r *Report) Add(group, name string, unit Unit, goal *Goal, note string, runs ...float64) {
	row := Row{Group: group, Name: name, Unit: unit, Value: Median(runs), Runs: runs, Goal: goal, Note: note}
	if goal != nil {
		met := goal.Met(row.Value)
		row.Met = &met
	}
	r.Rows = append(r.Rows, row)
}

// Pass notes that a measurement was passed over, and why.
func (r *Report) Pass(group, reason string) {
	r.Rows = append(r.Rows, Row{Group: group, Name: "passed over", Note: reason})
}

// WriteTable prints the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	m := r.Machine
	fmt.Fprintf(w, "\n%s · %s\n%s, %d cores, %s · %s · %s · %s\n%s\n\n",
		r.Date.Format(time.RFC3339), r.Command, m.CPU, m.Cores, m.Memory, m.Kernel, m.FileSystem, m.Go, r.Plan)
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "measurement\tfigure\tmin–max\ttarget\tresult\tnote")
	group := ""
	for _, row := range r.Rows {
		if row.Group != group {
			group = row.Group
			fmt.Fprintf(tab, "%s\t\t\t\t\t\n", strings.ToUpper(group))
		}
		fmt.Fprintf(tab, "  %s\t%s\t%s\t%s\t%s\t%s\n",
			row.Name, row.figure(), row.spread(), row.target(), row.result(), row.Note)
	}
	return tab.Flush()
}

// WriteFile writes the report as JSON.
func (r *Report) WriteFile(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	enc := json.NewEncoder(file)
	enc.SetIndent("", "  ")
	if err := errors.Join(enc.Encode(r), file.Close()); err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	return nil
}

func (r Row) figure() string {
	if len(r.Runs) == 0 {
		return ""
	}
	return r.Unit.format(r.Value)
}

func (r Row) spread() string {
	if len(r.Runs) < 2 {
		return ""
	}
	return r.Unit.digits(slices.Min(r.Runs)) + "–" + r.Unit.digits(slices.Max(r.Runs))
}

func (r Row) target() string {
	switch {
	case r.Goal == nil:
		return ""
	case r.Goal.AtLeast:
		return "≥ " + r.Unit.format(r.Goal.Limit)
	}
	return "≤ " + r.Unit.format(r.Goal.Limit)
}

func (r Row) result() string {
	switch {
	case r.Met == nil:
		return ""
	case *r.Met:
		return "pass"
	}
	return "MISS"
}

// format is a value with its unit; digits is the value alone.
func (u Unit) format(value float64) string {
	if u == Ratio {
		return u.digits(value) + " ×"
	}
	return u.digits(value) + " " + string(u)
}

func (u Unit) digits(value float64) string {
	switch u {
	case Rate, Count, Bytes:
		return strconv.FormatFloat(value, 'f', 0, 64)
	case Milliseconds, PerEvent:
		return strconv.FormatFloat(value, 'f', 3, 64)
	case KiB, MiB, Microseconds, Percent:
		return strconv.FormatFloat(value, 'f', 1, 64)
	}
	return strconv.FormatFloat(value, 'f', 2, 64)
}
