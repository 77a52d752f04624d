package store

import (
	"cmp"
	"hash/fnv"
	"strconv"

	"github.com/sigpost/sigpost/internal/hook"
)

// A posting says that the row with key id has a term among what owner has.
type posting struct {
	owner hook.Key
	term  int64
	id    hook.Key
}

// Prefixes of the terms. A message has these under its application, except for
// subjects, which it has under its organization: a subject is the same whoever
// received the event. Deliveries and attempts have theirs under the endpoint.
const (
	termAll     = "" // every message
	termType    = "t:"
	termChannel = "c:"
	termTag     = "g:"
	termEvent   = "e:"
	termSubject = "s:"

	termDelivery = "d"
	termAttempt  = "a:"
)

// term is the number that stands for text in the index: FNV-1a, which is the
// same in every process and version, cut to the 63 bits of a key. Two texts may
// have one term, so whoever finds a row looks at the text in it.
func term(text string) int64 {
	h := fnv.New64a()
	h.Write([]byte(text))
	return int64(h.Sum64() >> 1)
}

func subjectTerm(kind, id string) int64 { return term(termSubject + kind + "\x00" + id) }

// messagePostings adds what m is found by.
func messagePostings(list []posting, m *hook.Message) []posting {
	add := func(text string) { list = append(list, posting{m.App, term(text), m.ID}) }
	add(termAll)
	add(termType + m.Type)
	for _, c := range m.Channels {
		add(termChannel + c)
	}
	for _, t := range m.Tags {
		add(termTag + t)
	}
	if m.Event.ID != "" {
		add(termEvent + m.Event.ID)
	}
	for _, s := range m.Subjects {
		list = append(list, posting{m.Org, subjectTerm(s.Kind, s.ID), m.ID})
	}
	return list
}

// statusClasses are the classes by which attempts are chosen; 0 got no answer.
func statusClasses() [6]int { return [...]int{0, 100, 200, 300, 400, 500} }

// statusClass is the class of an HTTP status. Numbers beyond the known classes,
// which some receivers make up, count to the nearest.
func statusClass(status int) int {
	if status < 100 {
		return 0
	}
	return min(status/100*100, 500)
}

// attemptTerm is the one term of attempts that ended so.
func attemptTerm(delivered bool, class int) int64 {
	result := "fail:"
	if delivered {
		result = "ok:"
	}
	return term(termAttempt + result + strconv.Itoa(class))
}

// attemptTerms are those of all attempts that q chooses.
func attemptTerms(q *hook.AttemptQuery) (terms []int64) {
	for _, delivered := range [...]bool{true, false} {
		if q.Delivered != nil && *q.Delivered != delivered {
			continue
		}
		for _, class := range statusClasses() {
			if q.Class < 0 || q.Class == class {
				terms = append(terms, attemptTerm(delivered, class))
			}
		}
	}
	return terms
}

// comparePostings is the order of the table: what is written together should lie
// together.
func comparePostings(a, b posting) int {
	return cmp.Or(cmp.Compare(a.owner, b.owner), cmp.Compare(a.term, b.term), cmp.Compare(a.id, b.id))
}
