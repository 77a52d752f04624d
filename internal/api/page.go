package api

import (
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sigpost/sigpost/internal/hook"
)

// ListIn are the parameters of every list.
type ListIn struct {
	Limit    int    `query:"limit" minimum:"1" maximum:"250" default:"50" doc:"Limit the number of returned items"`
	Iterator string `query:"iterator" maxLength:"256" doc:"The iterator returned from a prior invocation"`
}

// OrderedIn are those of lists whose order can be chosen.
type OrderedIn struct {
	ListIn
	Order string `query:"order" enum:"ascending,descending" doc:"The sorting order of the returned items"`
}

// RangeIn bounds a list by time.
type RangeIn struct {
	Before time.Time `query:"before" doc:"Only include items created before a certain date"`
	After  time.Time `query:"after" doc:"Only include items created after a certain date"`
}

func (r RangeIn) bounds() hook.Range { return hook.Range{Since: r.After, Until: r.Before} }

// ListOut is a page of a list.
type ListOut[T any] struct {
	Data         []T     `json:"data"`
	Iterator     *string `json:"iterator" nullable:"true"`
	PrevIterator *string `json:"prevIterator,omitempty" nullable:"true"`
	Done         bool    `json:"done"`
}

// Shown is a query parameter that is true unless the request says false. (The
// library would take a false for a parameter that was left out.)
type Shown struct {
	set bool
	is  bool
}

// Receiver is where the value is put.
func (s *Shown) Receiver() reflect.Value { return reflect.ValueOf(&s.is).Elem() }

// OnParamSet notes whether the parameter was there.
func (s *Shown) OnParamSet(set bool, _ any) { s.set = set }

// Schema of a boolean that is true when it is left out.
func (Shown) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeBoolean, Default: true}
}

// want says whether to show it.
func (s Shown) want() bool { return !s.set || s.is }

// An iterator is the public id of the row behind which the page begins, after
// "-" when the page is to go back from there. ascending is the list's own
// direction.
const backwards = "-"

// page is where a list goes on.
func (a *API) page(in ListIn, kind hook.Kind, ascending bool) (hook.Page, bool, error) {
	p := hook.Page{Ascending: ascending, Limit: in.Limit}
	text, back := strings.CutPrefix(in.Iterator, backwards)
	if back {
		p.Ascending = !ascending
	}
	if text == "" {
		return p, back, nil
	}
	k, err := a.IDs.Key(kind, text)
	if err != nil {
		return p, back, invalid("is not an iterator of this list; leave it out to begin, or pass on the one of the last answer", "query", "iterator")
	}
	p.After = k
	return p, back, nil
}

// listOut makes the answer of a page. keys are those of the rows, in the order in
// which they were read; next is where the list goes on, 0 at its end.
func listOut[T any](a *API, kind hook.Kind, rows []T, keys []hook.Key, next hook.Key, in ListIn, back bool) *Body[ListOut[T]] {
	out := ListOut[T]{Data: rows, Done: next == 0}
	if out.Data == nil {
		out.Data = []T{}
	}
	if back { // read against the list's direction
		for i, j := 0, len(rows)-1; i < j; i, j = i+1, j-1 {
			rows[i], rows[j] = rows[j], rows[i]
			keys[i], keys[j] = keys[j], keys[i]
		}
		out.Done = false
	}
	id := func(k hook.Key, prefix string) *string {
		s := prefix + a.IDs.Public(kind, k)
		return &s
	}
	switch {
	case len(keys) > 0:
		out.Iterator = id(keys[len(keys)-1], "")
	case next != 0:
		out.Iterator = id(next, "")
	case in.Iterator != "":
		s := strings.TrimPrefix(in.Iterator, backwards)
		out.Iterator = &s
	}
	if !back && next != 0 && len(keys) < in.Limit {
		out.Iterator = id(next, "") // the page ended because enough was looked at
	}
	if in.Iterator != "" && len(keys) > 0 {
		out.PrevIterator = id(keys[0], backwards)
	}
	return answerWith(http.StatusOK, out)
}

// A list looks at so many rows at a time and then says where it stopped. It is
// asked to go on a few times, for as long as that is quick, before a page is
// shown with fewer rows than asked for.
const (
	rounds     = 4
	roundsTime = 5 * time.Millisecond
)

// fill reads a page from a list that may stop early.
func fill[T any](p hook.Page, read func(hook.Page) ([]T, hook.Key, error)) (rows []T, next hook.Key, err error) {
	limit, begun := p.Limit, time.Now()
	for range rounds {
		var some []T
		if some, next, err = read(p); err != nil {
			return nil, 0, err
		}
		rows = append(rows, some...)
		if next == 0 || len(rows) >= limit || time.Since(begun) > roundsTime {
			break
		}
		p.After, p.Limit = next, limit-len(rows)
	}
	return rows, next, nil
}
