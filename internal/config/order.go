package config

import (
	"slices"
	"strings"

	"github.com/sigpost/sigpost/internal/strictyaml"
)

// order checks how an endpoint of a source is ordered. The kind of subject must be one that
// the provider's events name: with another one nothing would be in order, and nothing
// would tell.
func (l *loader) order(at string, e *Endpoint, provider string) {
	if e.OrderBy != "" {
		l.oneOf(at+".order_by", e.OrderBy, orderByAcceptance, orderByOccurrence)
	}
	if e.PoisonAfter < 0 {
		l.fault(at+".poison_after", "%d is less than 1", e.PoisonAfter)
		return
	}
	o := e.Ordering()
	if part, err := o.Check(); err != nil {
		l.fault(at+"."+part, "%v", err)
		return
	}
	facts, err := l.Catalog.Facts(provider)
	if err != nil || o.By == "" {
		return // what is wrong with the provider was said already
	}
	kind := o.Kind()
	switch {
	case len(facts.Subjects) == 0:
		l.fault(at+".order", "is %q, but events of %s name no subject; leave order out", e.Order, provider)
	case kind != "" && !slices.Contains(facts.Subjects, kind):
		hint := strictyaml.DidYouMean(kind, facts.Subjects)
		if hint == "" {
			hint = "there are " + strings.Join(facts.Subjects, ", ")
		}
		l.fault(at+".order", "events of %s name no subject of the kind %q; %s", provider, kind, hint)
	}
}
