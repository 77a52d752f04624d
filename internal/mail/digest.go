package mail

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sigpost/sigpost/internal/hook"
)

const (
	// mostGroups bounds what waits for one mail: alerts of one kind about one thing
	// are a group. What finds no place is counted.
	mostGroups = 200
	// mostTold is how many groups a mail tells in full; the others get a line.
	mostTold = 20
	// longestSubject and longestText bound what comes from names, in characters.
	longestSubject = 150
	longestText    = 1000
)

// digest is what becomes one mail. The zero digest is empty.
type digest struct {
	groups []*group
	index  map[groupKey]*group
	count  int // of all alerts
	left   int // of those without a place
}

type groupKey struct {
	kind  hook.AlertKind
	about string
}

// group is what was told of one thing: the newest alert, and how many there were.
type group struct {
	hook.Alert
	first time.Time
	times int
}

func (d *digest) empty() bool { return d.count == 0 }

func (d *digest) add(x hook.Alert) { d.put(&group{Alert: x, first: x.At, times: 1}) }

func (d *digest) put(g *group) {
	key := groupKey{g.Kind, g.About}
	d.count += g.times
	if known := d.index[key]; known != nil {
		known.Alert, known.times = g.Alert, known.times+g.times
		return
	}
	if len(d.groups) >= mostGroups {
		d.left += g.times
		return
	}
	if d.index == nil {
		d.index = map[groupKey]*group{}
	}
	d.groups, d.index[key] = append(d.groups, g), g
}

// join adds what another digest has.
func (d *digest) join(other *digest) {
	for _, g := range other.groups {
		d.put(g)
	}
	d.count, d.left = d.count+other.left, d.left+other.left
}

// sorted has what matters most first, then what came first.
func (d *digest) sorted() []*group {
	list := slices.Clone(d.groups)
	slices.SortStableFunc(list, func(a, b *group) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), a.first.Compare(b.first))
	})
	return list
}

// subject says what the mail is about: what matters most in it.
func (d *digest) subject() string {
	list := d.sorted()
	text := "[Sigpost] " + clean(list[0].Title, longestSubject)
	if n := len(list) - 1; n > 0 {
		text += fmt.Sprintf(", and %d more", n)
	}
	return text
}

// body tells all of it.
func (d *digest) body(server string) string {
	var b strings.Builder
	list := d.sorted()
	for i, g := range list {
		if i == mostTold {
			b.WriteString("Also:\n\n")
		}
		if i >= mostTold {
			fmt.Fprintf(&b, "- %s\n", clean(g.Title, longestSubject))
			continue
		}
		g.write(&b)
	}
	if d.left > 0 {
		fmt.Fprintf(&b, "\n%d more alerts had no place here; the log of the server has them.\n", d.left)
	}
	fmt.Fprintf(&b, "\n-- \nSent by Sigpost on %s. alerts.email in its configuration says what is mailed and to whom.\n", clean(server, longestText))
	return b.String()
}

// minuteLayout is how people read a time here.
const minuteLayout = "2006-01-02 15:04 MST"

// write tells of a group in full.
func (g *group) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s\n\n", clean(g.Title, longestText))
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(b, "  %-7s %s\n", name+":", clean(text, longestText))
		}
	}
	when := g.At.UTC().Format(minuteLayout)
	if g.times > 1 {
		when = fmt.Sprintf("%d times from %s to %s; this is the newest", g.times, g.first.UTC().Format(minuteLayout), when)
	}
	line("When", when)
	if !g.Since.IsZero() {
		line("Since", g.Since.UTC().Format(minuteLayout))
	}
	line("Why", g.Why)
	line("Next", g.Next)
	line("Look", g.Look)
	line("Alert", string(g.Kind)+" ("+g.Severity.String()+"), about "+g.About)
	b.WriteByte('\n')
}

// clean makes one line of a text that may come from anyone: names and URLs must
// not begin a line, let alone a header, of their own.
func clean(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) { // of white space only the space is printable
			return ' '
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}
