package provider

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sigpost/sigpost/internal/hook"
)

// Rule recognises one kind of event and says where its parts stand. Rules are
// tried in order; the first whose conditions all hold decides.
type Rule struct {
	// When are the conditions; all must hold. A rule without any always holds.
	When []Condition `yaml:"when"`
	// Type are templates; the first whose places all have values gives the
	// type. When none does, the type is "<provider>.unknown".
	Type []Template `yaml:"type"`
	// Family names the types that replace each other for one subject; empty
	// when the events replace nothing.
	Family string `yaml:"family"`
	// Subjects stand in for those of the definition that have the same kind.
	Subjects []SubjectRule `yaml:"subjects"`
	// Time are the places of the time when it happened; given, they stand in
	// for those of the definition.
	Time []Path `yaml:"time"`
	// Rank orders events without a time; the rank of the type goes before it.
	Rank int `yaml:"rank"`
}

// SubjectRule says where the id of one kind of subject stands. Several rules
// may have the same kind: a rescheduled booking names the one before it.
type SubjectRule struct {
	Kind string `yaml:"kind"`
	From []Path `yaml:"from"` // tried in order
}

// Condition holds when the first value found at From is one of Is, or is what
// Has says. One of the two is given.
type Condition struct {
	From []Path    `yaml:"from"`
	Is   []string  `yaml:"is"`
	Has  Existence `yaml:"has"`
}

// Existence is what a condition wants to find.
type Existence string

// What may be found. null, and an empty header, are nothing.
const (
	HasNothing Existence = "nothing"
	HasValue   Existence = "value" // of any kind
	HasObject  Existence = "object"
	HasArray   Existence = "array"
	HasNumber  Existence = "number"
	HasText    Existence = "text"
)

// UnmarshalText reads the word.
func (e *Existence) UnmarshalText(b []byte) error {
	all := []Existence{HasNothing, HasValue, HasObject, HasArray, HasNumber, HasText}
	if *e = Existence(b); slices.Contains(all, *e) {
		return nil
	}
	return fmt.Errorf("%q is none of nothing, value, object, array, number, text", b)
}

func (e Existence) holds(k kind) bool {
	switch e {
	case HasNothing:
		return k == absent
	case HasValue:
		return k != absent
	case HasObject:
		return k == object
	case HasArray:
		return k == array
	case HasNumber:
		return k == number
	default:
		return k == text
	}
}

func (c *Condition) holds(r *request) bool {
	for i := range c.From {
		p := &c.From[i]
		k := r.kind(p)
		if k == absent && i < len(c.From)-1 {
			continue
		}
		if c.Has != "" {
			return c.Has.holds(k)
		}
		return slices.Contains(c.Is, r.text(p))
	}
	return false
}

func (rule *Rule) holds(r *request) bool {
	for i := range rule.When {
		if !rule.When[i].holds(r) {
			return false
		}
	}
	return true
}

// eventType is the type by the first template that can be filled in.
func (rule *Rule) eventType(r *request, otherwise string) string {
	for i := range rule.Type {
		if s, ok := rule.Type[i].make(r); ok {
			return s
		}
	}
	return otherwise
}

// subjects are those found in r, each once, in the order of rules.
func subjects(rules []SubjectRule, r *request) []hook.Subject {
	found := make([]hook.Subject, 0, len(rules))
	for i := range rules {
		id := r.first(rules[i].From)
		s := hook.Subject{Kind: rules[i].Kind, ID: id}
		if id != "" && !slices.Contains(found, s) {
			found = append(found, s)
		}
	}
	return found
}

// over is base with the kinds that rules names replaced, the primary kind first.
func over(base, rules []SubjectRule, primary string) []SubjectRule {
	var all []SubjectRule
	taken := func(kind string) bool {
		return slices.ContainsFunc(all, func(s SubjectRule) bool { return s.Kind == kind })
	}
	for _, list := range [][]SubjectRule{ofKind(rules, primary), ofKind(base, primary), base, rules} {
		for _, s := range list {
			if taken(s.Kind) {
				continue
			}
			if own := ofKind(rules, s.Kind); len(own) > 0 {
				all = append(all, own...)
			} else {
				all = append(all, ofKind(base, s.Kind)...)
			}
		}
	}
	return all
}

func ofKind(rules []SubjectRule, kind string) []SubjectRule {
	return slices.DeleteFunc(slices.Clone(rules), func(s SubjectRule) bool { return s.Kind != kind })
}

// words says the condition in English, for the documentation.
func (c Condition) words() string {
	places := make([]string, len(c.From))
	for i, p := range c.From {
		places[i] = "`" + p.String() + "`"
	}
	where := strings.Join(places, " or ")
	switch c.Has {
	case "":
	case HasNothing:
		return "no " + where
	case HasValue:
		return where + " is there"
	default:
		return where + " is " + article(string(c.Has))
	}
	wanted := make([]string, len(c.Is))
	for i, s := range c.Is {
		wanted[i] = "`" + s + "`"
	}
	return where + " is " + strings.Join(wanted, " or ")
}
