package provider

import (
	"bytes"
	_ "embed"
	"fmt"
	"reflect"
	"strings"
	"text/template"
	"time"
)

//go:embed docs.md.tmpl
var docsTemplate string

//go:embed example.yaml
var example string

// Docs is the reference of all providers of the set, as Markdown: docs/providers.md.
func (s *Set) Docs() (string, error) {
	t, err := template.New("providers").Funcs(template.FuncMap{
		"anchor":       anchor,
		"cell":         cell,
		"prefix":       prefix,
		"places":       places,
		"codes":        codes,
		"schemeShort":  schemeShort,
		"schemeWords":  schemeWords,
		"secretWords":  secretWords,
		"receiveShort": receiveShort,
		"receiveWords": receiveWords,
		"sendWords":    sendWords,
		"conditions":   conditions,
		"templates":    func(r Rule) string { return inCode(r.Type) },
		"subjects":     (*Definition).subjectWords,
		"time":         (*Definition).timeWords,
		"common":       (*Definition).common,
		"rank":         (*Definition).rankOf,
		"inc":          func(i int) int { return i + 1 },
		"example":      func() string { return example },
	}).Parse(docsTemplate)
	if err != nil {
		return "", fmt.Errorf("read template of providers: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, s.definitions); err != nil {
		return "", fmt.Errorf("write reference of providers: %w", err)
	}
	return b.String(), nil
}

// common says where subjects and time stand unless a rule says otherwise.
func (d *Definition) common() string {
	var words []string
	for _, s := range d.subjects {
		words = append(words, s.Kind+": "+places(s.From))
	}
	if len(d.time) > 0 {
		words = append(words, "time: "+places(d.time))
	}
	return strings.Join(words, "; ")
}

// anchor is the address that Markdown renderers give a heading.
func anchor(title string) string {
	keep := func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-':
			return c
		case c == ' ':
			return '-'
		default:
			return -1
		}
	}
	return strings.Map(keep, strings.ToLower(title))
}

// prefix says how the types of d begin.
func prefix(d *Definition) string {
	for _, t := range d.Types {
		if !strings.HasPrefix(t.Name, d.Name+".") {
			return "as sent"
		}
	}
	return "`" + d.Name + ".…`"
}

func codes(all []string) string { return inCode(all) }

func places(all []Path) string { return inCode(all) }

// cell makes s fit for the cell of a table, which a bar would end.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// inCode lists all as code.
func inCode[T any](all []T) string {
	out := make([]string, len(all))
	for i, a := range all {
		out[i] = "`" + fmt.Sprint(a) + "`"
	}
	return strings.Join(out, ", ")
}

func conditions(r Rule) string {
	if len(r.When) == 0 {
		return "always"
	}
	words := make([]string, len(r.When))
	for i, c := range r.When {
		words[i] = c.words()
	}
	return strings.Join(words, "; ")
}

// subjectWords says where the subjects of r stand, if not where d says.
func (d *Definition) subjectWords(r Rule) string {
	if len(d.subjects) > 0 && reflect.DeepEqual(r.Subjects, d.subjects) {
		return "as above"
	}
	return subjectWords(r.Subjects)
}

// timeWords says where the time of r stands, if not where d says.
func (d *Definition) timeWords(r Rule) string {
	switch {
	case len(r.Time) == 0:
		return "–"
	case reflect.DeepEqual(r.Time, d.time):
		return "as above"
	default:
		return places(r.Time)
	}
}

func subjectWords(rules []SubjectRule) string {
	words := make([]string, len(rules))
	for i, s := range rules {
		words[i] = s.Kind + ": " + places(s.From)
	}
	if len(words) == 0 {
		return "–"
	}
	return strings.Join(words, "<br>")
}

// rankOf is the rank of events of type t: its own, else that of the rule by
// which its sample is recognised.
func (d *Definition) rankOf(t EventType) int {
	s, err := d.Sample(t.Name)
	if t.Rank != 0 || err != nil {
		return t.Rank
	}
	return d.Classify(s.Header, s.Body).Rank
}

func receiveShort(r Receive) string {
	status := "any 2xx"
	if r.Status != 0 {
		status = fmt.Sprint(r.Status)
	}
	if r.Within == 0 {
		return status
	}
	return status + " within " + short(r.Within)
}

func receiveWords(r Receive) string {
	words := "It has to answer " + receiveShort(r) + "."
	if r.HTTPS {
		words += " HTTPS with a public certificate."
	}
	if !r.CustomPort {
		words += " No port other than 443."
	}
	return words
}

func sendWords(p *SendPolicy) string {
	var words []string
	if p.Timeout > 0 {
		words = append(words, "timeout "+short(p.Timeout))
	}
	success := "any 2xx is a success"
	if len(p.Success) > 0 {
		success = "only " + strings.Trim(fmt.Sprint(p.Success), "[]") + " is a success"
	}
	words = append(words, success, p.retryWords())
	return strings.Join(words, ", ") + "."
}

func (p *SendPolicy) retryWords() string {
	if p.NoRetry {
		return "no retries"
	}
	words := "retries"
	for i, wait := range p.Schedule {
		sep := ", "
		if i == 0 {
			sep = " after "
		}
		words += sep + short(wait)
	}
	switch {
	case p.Interval > 0 && len(p.Schedule) > 0:
		words += ", then every " + short(p.Interval)
	case p.Interval > 0:
		words += " every " + short(p.Interval)
	case len(p.Schedule) == 0:
		words += " at the usual waits, because its own are not published"
	}
	if p.Window > 0 {
		words += ", for " + short(p.Window) + " in all"
	}
	return words
}

// short is d without the zero minutes and seconds that String adds.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
