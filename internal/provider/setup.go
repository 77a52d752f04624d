package provider

import (
	"fmt"
	"regexp"
	"strings"
)

// Webhook is one of the webhooks that a provider has apart from others: what needs it, and
// which event types it brings (patterns with *).
type Webhook struct {
	Name       string   `yaml:"name"`
	About      string   `yaml:"about"`
	EventTypes []string `yaml:"event_types"`
}

// SetupURL stands in steps of Setup where the URL of the source goes.
const SetupURL = "{url}"

// Steps say, in Markdown, how a source is made for the provider: its own steps, or
// those that its other facts make, and what it demands of the URL.
func (d *Definition) Steps() []string {
	steps := append([]string{}, d.Setup...)
	if len(steps) == 0 {
		steps = append(steps, fmt.Sprintf("Where %s lets you add a webhook, paste `%s`.", d.Title, SetupURL))
		switch {
		case !d.Signed():
		case d.Secret.Chosen:
			steps = append(steps, "Give it the source's secret.")
		default:
			steps = append(steps, "Copy its secret into the source. "+d.Secret.About)
		}
	}
	if d.Receive.HTTPS || !d.Receive.CustomPort {
		steps = append(steps, d.Title+" demands of the URL: "+strings.TrimPrefix(receiveWords(d.Receive), "It has to answer "+receiveShort(d.Receive)+". "))
	}
	return steps
}

// Words say what a secret looks like, in a sentence.
func (r SecretRules) Words() string { return secretWords(r) }

// Pattern is a regular expression, of JavaScript's kind, for secrets of these forms; empty when
// every text will do. The check that counts is CheckSecret.
func (r SecretRules) Pattern() string {
	if len(r.Forms) == 0 {
		return ""
	}
	forms := make([]string, len(r.Forms))
	for i, f := range r.Forms {
		forms[i] = f.pattern()
	}
	return "^(?:" + strings.Join(forms, "|") + ")$"
}

func (f SecretForm) pattern() string {
	prefix := regexp.QuoteMeta(f.Prefix)
	if f.Base64 {
		return "(?:" + prefix + ")?" + "[A-Za-z0-9+/]{" + bounds((f.Min*4+2)/3, (f.Max*4+2)/3) + "}={0,2}"
	}
	text := ""
	for _, class := range f.Require {
		text += "(?=.*" + map[CharacterClass]string{Upper: "[A-Z]", Lower: "[a-z]", Digit: "[0-9]"}[class] + ")"
	}
	n := len(f.Prefix)
	most := 0
	if f.Max > 0 {
		most = max(0, f.Max-n)
	}
	return text + prefix + `\S{` + bounds(max(0, f.Min-n), most) + "}"
}

// bounds are those of a repetition; most 0 is none.
func bounds(least, most int) string {
	if most == 0 {
		return fmt.Sprintf("%d,", least)
	}
	return fmt.Sprintf("%d,%d", least, most)
}
