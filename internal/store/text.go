package store

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sigpost/sigpost/internal/hook"
)

// clean is s as a column of text can hold it on both engines: PostgreSQL takes
// neither NUL nor bytes that are not UTF-8, so each run of such bytes becomes
// U+FFFD. What is asked for is cleaned as well, so it finds what was kept. Bodies
// and responses are bytes and stay as they are; JSON has its own way to write NUL.
func clean(s string) string {
	for i := range len(s) {
		if s[i] == 0 || s[i] >= utf8.RuneSelf {
			return cleaned(s)
		}
	}
	return s
}

func cleaned(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.ReplaceAll(s, "\x00", "\uFFFD")
}

// cleanMessage cleans what a sender decides about: what the caller goes on with is
// then what was kept.
func cleanMessage(m *hook.Message) {
	m.Type, m.Event.ID, m.Family = clean(m.Type), clean(m.Event.ID), clean(m.Family)
	m.Channels, m.Tags = cleanList(m.Channels), cleanList(m.Tags)
	for i, s := range m.Subjects {
		if kind, id := clean(s.Kind), clean(s.ID); kind != s.Kind || id != s.ID {
			m.Subjects = slices.Clone(m.Subjects) // another may read the list
			m.Subjects[i] = hook.Subject{Kind: kind, ID: id}
		}
	}
}

func cleanList(list []string) []string {
	for i, s := range list {
		if c := clean(s); c != s {
			list = slices.Clone(list)
			list[i] = c
		}
	}
	return list
}
