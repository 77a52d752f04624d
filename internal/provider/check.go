package provider

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/strictyaml"
	"github.com/sigpost/sigpost/signature"
)

// checker collects what is wrong with a document beyond what the decoder sees:
// what is missing, or does not fit together.
type checker struct {
	raw    strictyaml.Raw
	faults strictyaml.Faults
}

func (c *checker) add(key, format string, args ...any) {
	c.faults = append(c.faults, c.raw.Fault(key, format, args...))
}

func (c *checker) document(doc *document, set *Set) {
	c.names(doc, set)
	c.subjects("subjects", doc.Subjects)
	if all := doc.allSubjects(); doc.Primary != "" && len(ofKind(all, doc.Primary)) == 0 {
		c.add("primary", "there is no subject of the kind %q%s", doc.Primary, wayOut(doc.Primary, kinds(all)))
	}
	for i, rule := range doc.Rules {
		c.rule(fmt.Sprintf("rules[%d]", i), rule)
	}
	for i, t := range doc.Types {
		c.eventType(fmt.Sprintf("types[%d].name", i), t.Name)
	}
	for i, table := range doc.Codes {
		if len(table.From) == 0 {
			c.add(fmt.Sprintf("codes[%d].from", i), "this is missing; name the places where the codes stand")
		}
	}
	for i, s := range doc.Samples {
		c.eventType(fmt.Sprintf("samples[%d].type", i), s.Type)
		if s.Body != "" && !json.Valid([]byte(s.Body)) {
			c.add(fmt.Sprintf("samples[%d].body", i), "this is not JSON")
		}
	}
	c.secret(doc.Secret)
	c.policies(doc.Receive, doc.Send)
}

// scheme is the one that raw names – of the library, or of a provider in set –
// or the one that it describes.
func (c *checker) scheme(raw strictyaml.Raw, set *Set) (scheme signature.Scheme) {
	if raw.IsZero() {
		return scheme
	}
	if !raw.IsText() {
		if err := raw.Decode(&scheme); err != nil {
			c.join(err)
		} else if err := scheme.Validate(); err != nil {
			c.add("scheme", "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
		}
		return scheme
	}
	var name string
	c.join(raw.Decode(&name))
	if scheme, ok := signature.Lookup(name); ok {
		return scheme
	}
	if d := set.find(name); d != nil && d.Signed() {
		return d.Scheme
	}
	known := slices.Concat(signature.Names(), set.Names())
	slices.Sort(known)
	c.add("scheme", "there is no scheme %q%s", name, wayOut(name, slices.Compact(known)))
	return scheme
}

// join takes over the faults of a decoding.
func (c *checker) join(err error) {
	if found, ok := errors.AsType[strictyaml.Faults](err); ok {
		c.faults = append(c.faults, found...)
	} else if err != nil {
		c.add("", "%s", err)
	}
}

func (c *checker) names(doc *document, set *Set) {
	c.name("name", doc.Name, set)
	for i, alias := range doc.Aliases {
		c.name(fmt.Sprintf("aliases[%d]", i), alias, set)
	}
}

func (c *checker) name(key, name string, set *Set) {
	if !regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`).MatchString(name) {
		c.add(key, "%q is not a name; use lower-case letters, digits, '-' and '_'", name)
	}
	if set.find(name) != nil {
		c.add(key, "%q is the name of another provider; choose another one", name)
	}
}

func (c *checker) eventType(key, name string) {
	if name == "" || clean(name) != name {
		c.add(key, "%q is not an event type; use letters, digits, '-', '_' and '.'", name)
	}
}

func (c *checker) rule(key string, rule Rule) {
	if len(rule.Type) == 0 {
		c.add(key+".type", `this is missing; give at least one template, for example ["shop.{type}"]`)
	}
	c.subjects(key+".subjects", rule.Subjects)
	for i, when := range rule.When {
		key := fmt.Sprintf("%s.when[%d]", key, i)
		if len(when.From) == 0 {
			c.add(key+".from", "this is missing; name the places to look at")
		}
		if (len(when.Is) > 0) == (when.Has != "") {
			c.add(key, "a condition has either is or has")
		}
	}
}

func (c *checker) subjects(key string, rules []SubjectRule) {
	fit := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	for i, s := range rules {
		key := fmt.Sprintf("%s[%d]", key, i)
		if !fit.MatchString(s.Kind) {
			c.add(key+".kind", "%q is not a kind of subject; use lower-case letters, digits and '_', for example order", s.Kind)
		}
		if len(s.From) == 0 {
			c.add(key+".from", "this is missing; name the places where the id stands")
		}
	}
}

// longestSecret keeps rules from asking for secrets that no header or form takes.
const longestSecret = 4096

func (c *checker) secret(rules SecretRules) {
	for i, form := range rules.Forms {
		key := fmt.Sprintf("secret.forms[%d]", i)
		if form.Min < 0 || form.Max < 0 || max(form.Min, form.Max) > longestSecret {
			c.add(key, "min and max must be between 0 and %d", longestSecret)
			continue
		}
		if form.Max > 0 && form.Min > form.Max {
			c.add(key+".min", "%d is more than max, which is %d", form.Min, form.Max)
			continue
		}
		if _, err := form.generate(); err != nil {
			c.add(key, "no secret can obey these rules; allow a longer one")
		}
	}
}

func (c *checker) policies(receive Receive, send *SendPolicy) {
	if receive.Status != 0 {
		c.success("receive.status", receive.Status)
	}
	c.notNegative("receive.within", receive.Within)
	if send == nil {
		return
	}
	for i, status := range send.Success {
		c.success(fmt.Sprintf("send.success[%d]", i), status)
	}
	c.notNegative("send.timeout", send.Timeout)
	c.notNegative("send.window", send.Window)
	c.notNegative("send.interval", send.Interval)
	for i, wait := range send.Schedule {
		c.notNegative(fmt.Sprintf("send.schedule[%d]", i), wait)
	}
}

func (c *checker) success(key string, status int) {
	if status < 200 || status > 299 {
		c.add(key, "%d is not a success; use 200 to 299, or leave it out for any of them", status)
	}
}

func (c *checker) notNegative(key string, d time.Duration) {
	if d < 0 {
		c.add(key, "%s is negative", d)
	}
}

func (doc *document) allSubjects() []SubjectRule {
	all := doc.Subjects
	for _, r := range doc.Rules {
		all = over(all, r.Subjects, "")
	}
	return all
}

func kinds(rules []SubjectRule) []string {
	all := make([]string, len(rules))
	for i, s := range rules {
		all[i] = s.Kind
	}
	return all
}
