package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/provider"
)

// secretRows say what a secret of d looks like.
func secretRows(d *provider.Definition) [][2]string {
	if !d.Signed() {
		return nil
	}
	var rows [][2]string
	if d.Secret.About != "" {
		rows = append(rows, [2]string{"origin", d.Secret.About})
	}
	for _, f := range d.Secret.Forms {
		rows = append(rows, [2]string{"form", formWords(f)})
	}
	return rows
}

func formWords(f provider.SecretForm) string {
	unit := "characters"
	if f.Base64 {
		unit = "bytes in base64"
	}
	var words []string
	if f.Prefix != "" {
		words = append(words, f.Prefix+"…")
	}
	switch {
	case f.Min > 0 && f.Min == f.Max:
		words = append(words, fmt.Sprintf("%d %s", f.Min, unit))
	case f.Min > 0 && f.Max > 0:
		words = append(words, fmt.Sprintf("%d to %d %s", f.Min, f.Max, unit))
	case f.Min > 0:
		words = append(words, fmt.Sprintf("at least %d %s", f.Min, unit))
	case f.Max > 0:
		words = append(words, fmt.Sprintf("at most %d %s", f.Max, unit))
	}
	for _, class := range f.Require {
		words = append(words, "with a "+map[provider.CharacterClass]string{
			provider.Upper: "upper-case letter", provider.Lower: "lower-case letter", provider.Digit: "digit",
		}[class])
	}
	return strings.Replace(strings.Join(words, ", "), "with a upper", "with an upper", 1)
}

// receiveRows say what d demands of our URL.
func receiveRows(d *provider.Definition) [][2]string {
	r := d.Receive
	answer := "any 2xx"
	if r.Status != 0 {
		answer = fmt.Sprintf("exactly %d", r.Status)
	}
	if r.Within > 0 {
		answer += " within " + spell(r.Within)
	}
	rows := [][2]string{{"answer", answer}}
	if r.HTTPS {
		rows = append(rows, [2]string{"HTTPS", "with a public certificate"})
	}
	if !r.CustomPort {
		rows = append(rows, [2]string{"port", "443 only"})
	}
	for _, a := range d.Addresses {
		rows = append(rows, [2]string{"sent from", a.String()})
	}
	return rows
}

// sendRows say how a provider delivers.
func sendRows(s *provider.SendPolicy) [][2]string {
	if s == nil {
		return [][2]string{{"unknown", "it has published nothing about timeouts and retries"}}
	}
	var rows [][2]string
	if s.Timeout > 0 {
		rows = append(rows, [2]string{"timeout", spell(s.Timeout)})
	}
	success := "any 2xx"
	if len(s.Success) > 0 {
		success = "only " + strings.Trim(fmt.Sprint(s.Success), "[]")
	}
	return append(rows, [2]string{"success", success}, [2]string{"retries", retryWords(s)})
}

func retryWords(s *provider.SendPolicy) string {
	var waits []string
	for _, wait := range s.Schedule {
		waits = append(waits, spell(wait))
	}
	words := "at waits that it has not published"
	switch {
	case s.NoRetry:
		return "none"
	case len(waits) > 0 && s.Interval > 0:
		words = "after " + list(waits) + ", then every " + spell(s.Interval)
	case len(waits) > 0:
		words = "after " + list(waits)
	case s.Interval > 0:
		words = "every " + spell(s.Interval)
	}
	if s.Window > 0 {
		words += ", for " + spell(s.Window) + " in all"
	}
	return words
}

// subjectRows say where ids stand.
func subjectRows(d *provider.Definition) [][2]string {
	id := "none; duplicates are told by content"
	if len(d.ID) > 0 {
		id = list(places(d.ID))
	}
	rows := [][2]string{{"event id", id}}
	for _, s := range subjectViews(d) {
		kind := s.Kind
		if kind == d.Primary {
			kind += " (primary)"
		}
		rows = append(rows, [2]string{kind, list(s.At)})
	}
	return rows
}

func list(words []string) string { return strings.Join(words, ", ") }

// spell is d without the zero minutes and seconds that String adds; empty for none.
func spell(d time.Duration) string {
	if d == 0 {
		return ""
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
