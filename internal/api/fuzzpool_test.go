package api_test

import (
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
)

// fuzzPool has what answers told: ids by their kind and by what they belong to,
// iterators, tokens. Requests are made of it.
type fuzzPool struct {
	rng  *rand.Rand
	held map[string][]string
	ids  map[string]string // of uids
}

// add keeps a value; a full pool forgets one of its own. There are few
// applications and sources, so that what belongs to them meets.
func (p *fuzzPool) add(name, value string) {
	most, list := 60, p.held[name]
	if kind, _, _ := strings.Cut(name, " "); kind == "app" || kind == "src" {
		most = 8
	}
	switch {
	case value == "" || slices.Contains(list, value):
	case len(list) < most:
		p.held[name] = append(list, value)
	default:
		list[p.rng.IntN(len(list))] = value
	}
}

// drop forgets a value that is no more, but not always: what is gone is asked for
// as well.
func (p *fuzzPool) drop(value string) {
	if p.rng.IntN(8) == 0 {
		return
	}
	for name, list := range p.held {
		if i := slices.Index(list, value); i >= 0 {
			p.held[name] = slices.Delete(list, i, i+1)
		}
	}
}

// one is one of a pool, or "".
func (p *fuzzPool) one(name string) string {
	if list := p.held[name]; len(list) > 0 {
		return list[p.rng.IntN(len(list))]
	}
	return ""
}

// of is one of what belongs to owner, now and then one of what does not.
func (p *fuzzPool) of(kind, owner string) (id string, belongs bool) {
	if id, ok := p.ids[owner]; ok {
		owner = id
	}
	if v := p.one(kind + " of " + owner); v != "" {
		if p.rng.IntN(12) == 0 {
			v = p.one(kind)
		}
		return v, true
	}
	return p.one(kind), false
}

// fuzzKinds are the prefixes of ids that requests are made of.
var fuzzKinds = regexp.MustCompile(`^(app|ep|src|msg|dlv|atmpt|rej|key|qtask)_[0-9A-Za-z]+$`)

// learn keeps what an answer tells. owner is what its path names last.
func (p *fuzzPool) learn(v any, owner string, list string) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			p.learn(item, owner, list)
		}
	case map[string]any:
		id, _ := v["id"].(string)
		kind, _, _ := strings.Cut(id, "_")
		if fuzzKinds.MatchString(id) {
			p.learnID(v, kind, id, owner)
		}
		for _, name := range []string{"iterator", "prevIterator"} {
			if text, ok := v[name].(string); ok {
				p.add("iterator", text)
				p.add("iterator of "+list, text)
			}
		}
		if text, ok := v["token"].(string); ok {
			p.add("token", text)
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if name != "payload" {
				p.learn(v[name], owner, list)
			}
		}
	}
}

func (p *fuzzPool) learnID(v map[string]any, kind, id, owner string) {
	if msg, ok := v["msgId"].(string); ok {
		owner = msg
	}
	p.add(kind, id)
	p.add(kind+" of "+owner, id)
	if app, ok := v["appId"].(string); ok && kind == "src" {
		p.add("app", app) // the hidden one
	}
	if endpoint, ok := v["endpointId"].(string); ok && kind == "dlv" {
		p.add("ep of "+id, endpoint)
	}
	for _, name := range []string{"uid", "eventId"} {
		if uid, ok := v[name].(string); ok && p.rng.IntN(3) == 0 {
			p.ids[uid] = id
			p.add(kind, uid)
			p.add(kind+" of "+owner, uid)
		}
	}
}
