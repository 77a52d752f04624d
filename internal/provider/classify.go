package provider

import (
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/signature"
)

// maxPooled is the biggest buffer that is kept for the next request.
const maxPooled = 64 << 10

// Classify finds out what a verified request is about. It never fails: what
// is not JSON, or what no rule recognises, has the type "<provider>.unknown".
// body is without its content encoding. The result does not refer to body.
func (d *Definition) Classify(header http.Header, body []byte) hook.Event {
	r := d.read(header, body)
	defer d.done(r)
	return d.event(r)
}

// Inspect is Classify with the meanings of the codes in the event.
func (d *Definition) Inspect(header http.Header, body []byte) hook.Event {
	r := d.read(header, body)
	defer d.done(r)
	e := d.event(r)
	for i := range d.Codes {
		e.Meanings = append(e.Meanings, d.Codes[i].explain(r, e.Meanings)...)
	}
	return e
}

// FlowID is the id of the flow that body belongs to; empty when it names none
// or the provider knows no flows.
func (d *Definition) FlowID(body []byte) string {
	if d.FlowPath == nil {
		return ""
	}
	r := d.read(nil, body)
	defer d.done(r)
	return r.text(d.FlowPath)
}

// read prepares header and body for the rules; done takes the scanner back.
func (d *Definition) read(header http.Header, body []byte) *request {
	s, _ := d.scanners.Get().(*scanner)
	if s == nil {
		s = new(scanner)
	}
	body = d.payload(header, body)
	return &request{header: header, scan: s, isJSON: s.scan(body, d.root)}
}

func (d *Definition) done(r *request) {
	r.scan.body = nil
	if cap(r.scan.out)+cap(r.scan.spare)+cap(r.scan.members) <= maxPooled {
		d.scanners.Put(r.scan)
	}
}

// payload is the JSON inside a form-encoded body, where the provider sends such.
func (d *Definition) payload(header http.Header, body []byte) []byte {
	if d.FormField == "" {
		return body
	}
	media, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return body
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || !form.Has(d.FormField) {
		return body
	}
	return []byte(form.Get(d.FormField))
}

func (d *Definition) event(r *request) hook.Event {
	e := hook.Event{Type: d.Name + ".unknown"}
	e.ID = d.eventID(r)
	if e.ID != "" {
		e.DedupeKey = DedupeKey(e.ID, nil)
	} else {
		e.DedupeKey = r.hashKey()
	}
	if !r.isJSON {
		return e
	}
	rule := d.rule(r)
	if rule == nil {
		e.Subjects = subjects(d.subjects, r)
		e.OccurredAt = r.time(d.time)
		return e
	}
	e.Type = rule.eventType(r, e.Type)
	e.Family = rule.Family
	e.Subjects = subjects(rule.Subjects, r)
	e.OccurredAt = r.time(rule.Time)
	e.Rank = rule.Rank
	if t, ok := d.types[e.Type]; ok {
		e.Final = t.Final
		if t.Rank != 0 {
			e.Rank = t.Rank
		}
	}
	return e
}

// eventID is the first id at d.ID. Where the scheme has several sets of header
// names, an id counts only beside the signature of its own set: one that
// anybody could add beside another set's signature would let a recorded request
// in again, or take the place of an event to come.
func (d *Definition) eventID(r *request) string {
	for i := range d.ID {
		if d.foreign(d.ID[i].Header, r.header) {
			continue
		}
		if id := r.text(&d.ID[i]); id != "" {
			return id
		}
	}
	return ""
}

// foreign reports whether name is the id header of a set of header names that
// signs nothing in header while another one does.
func (d *Definition) foreign(name string, header http.Header) bool {
	if name == "" || len(d.Scheme.Aliases) == 0 {
		return false
	}
	own, others := false, false
	sets := append([]signature.HeaderNames{{Header: d.Scheme.Header, IDHeader: d.Scheme.IDHeader}}, d.Scheme.Aliases...)
	for _, set := range sets {
		signs := header.Get(set.Header) != ""
		if strings.EqualFold(set.IDHeader, name) {
			own = own || signs
		} else {
			others = others || signs
		}
	}
	return !own && others
}

// rule is the first whose conditions hold; nil when none does.
func (d *Definition) rule(r *request) *Rule {
	for i := range d.Rules {
		if d.Rules[i].holds(r) {
			return &d.Rules[i]
		}
	}
	return nil
}

// explain gives the meanings of the table's codes in r, each place once: what
// an earlier table has explained is left alone.
func (t *CodeTable) explain(r *request, explained []hook.Meaning) []hook.Meaning {
	var all []hook.Meaning
	for i := range t.From {
		code := r.text(&t.From[i])
		meaning, ok := t.Meanings[code]
		if code == "" || !ok {
			continue
		}
		m := hook.Meaning{Field: t.From[i].String(), Value: code, Text: meaning}
		if !explainedAt(explained, m.Field) {
			all = append(all, m)
		}
	}
	return all
}

func explainedAt(all []hook.Meaning, field string) bool {
	for _, m := range all {
		if m.Field == field {
			return true
		}
	}
	return false
}
