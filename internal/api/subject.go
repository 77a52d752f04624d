package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Bounds of one time line. Subjects that thousands share, as a producer may make
// them, must not lead through the whole store.
const (
	timelineSubjects = 50
	timelineMessages = 1000
	timelinePages    = 200
)

// SubjectMessageOut is a message of a time line, without its payload.
type SubjectMessageOut struct {
	MessageOut
	AppID  string  `json:"appId"`
	Family *string `json:"family,omitempty" doc:"Event types of one family replace each other for a subject"`
}

// SubjectLatestOut is the newest message of a family about a subject.
type SubjectLatestOut struct {
	Subject   SubjectInOut `json:"subject"`
	Family    string       `json:"family"`
	MsgID     string       `json:"msgId"`
	EventType string       `json:"eventType"`
	At        time.Time    `json:"at" doc:"When it happened, or came in where the provider does not say"`
}

// SubjectSessionOut are the messages whose primary subject is the same: one
// session of an end user, who may have several.
type SubjectSessionOut struct {
	Subject SubjectInOut       `json:"subject"`
	MsgIDs  []string           `json:"msgIds" doc:"In order of occurrence"`
	Latest  []SubjectLatestOut `json:"latest"`
}

// SubjectOut is everything about one subject and those linked with it.
type SubjectOut struct {
	Subjects  []SubjectInOut      `json:"subjects" doc:"The one asked for, then those seen together with it or with each other"`
	Data      []SubjectMessageOut `json:"data" doc:"In order of occurrence"`
	Sessions  []SubjectSessionOut `json:"sessions" doc:"The messages by their primary subject, in order of first occurrence"`
	Latest    []SubjectLatestOut  `json:"latest" doc:"The newest message of each primary subject and family"`
	Truncated bool                `json:"truncated" doc:"There is more than one time line shows: 50 subjects, 1,000 messages, the newest of each subject first"`
}

func registerSubjects(a *API) {
	register(a, operation{id: "subject.get", method: http.MethodGet, path: "/api/v1/subject/{kind}/{id}", summary: "Show every message about a subject and those linked with it", access: accessOrgRead}, a.readSubject)
}

func (a *API) readSubject(ctx context.Context, in *struct {
	Kind string `path:"kind" minLength:"1" maxLength:"64" pattern:"^[a-z][a-z0-9_\\-]*$" doc:"For example session"`
	ID   string `path:"id" minLength:"1" maxLength:"512" doc:"The subject's id, URL-escaped"`
}) (*Body[SubjectOut], error) {
	if strings.ContainsRune(in.ID, 0) {
		return nil, invalid("holds a NUL character", "path", "id")
	}
	t := timeline{caller: caller(ctx), store: a.Store, seen: map[hook.Key]bool{}}
	if err := t.follow(ctx, hook.Subject{Kind: in.Kind, ID: in.ID}); err != nil {
		return nil, err
	}
	if len(t.messages) == 0 {
		return nil, hook.Errorf(hook.CodeNotFound, "no message is about the %s %q", in.Kind, in.ID)
	}
	slices.SortFunc(t.messages, byOccurrence)
	return answer(a.subjectOut(&t)), nil
}

// timeline gathers the messages about subjects that are linked.
type timeline struct {
	caller    *Caller
	store     timelineStore
	subjects  []hook.Subject // those found so far, in the order in which they were
	messages  []*hook.Message
	seen      map[hook.Key]bool
	pages     int
	truncated bool
}

// follow reads everything about a subject, then about those that its messages
// name, and so on.
func (t *timeline) follow(ctx context.Context, first hook.Subject) error {
	t.subjects = append(t.subjects, first)
	for i := 0; i < len(t.subjects); i++ {
		if err := t.read(ctx, t.subjects[i]); err != nil {
			return err
		}
	}
	return nil
}

func (t *timeline) read(ctx context.Context, of hook.Subject) error {
	page := hook.Page{Limit: 250}
	for {
		if t.pages++; t.pages > timelinePages {
			t.truncated = true
			return nil
		}
		list, next, err := t.store.ListBySubject(ctx, t.caller.Org, of.Kind, of.ID, page)
		if err != nil {
			return err
		}
		for i := range list {
			if !t.add(&list[i]) {
				return nil
			}
		}
		if next == 0 {
			return nil
		}
		page.After = next
	}
}

// add takes a message and the subjects that it names; false when there is no room.
func (t *timeline) add(m *hook.Message) bool {
	if t.seen[m.ID] || !t.caller.reaches(m.App) {
		return true
	}
	if len(t.messages) == timelineMessages {
		t.truncated = true
		return false
	}
	t.seen[m.ID] = true
	t.messages = append(t.messages, m)
	for _, s := range m.Subjects {
		switch {
		case slices.Contains(t.subjects, s):
		case len(t.subjects) == timelineSubjects:
			t.truncated = true
		default:
			t.subjects = append(t.subjects, s)
		}
	}
	return true
}

// occurred is when a message happened, or came in where that is not known.
func occurred(m *hook.Message) time.Time {
	if m.OccurredAt.IsZero() {
		return m.ReceivedAt
	}
	return m.OccurredAt
}

func byOccurrence(a, b *hook.Message) int {
	return cmp.Or(occurred(a).Compare(occurred(b)), cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.ID, b.ID))
}

func (a *API) subjectOut(t *timeline) SubjectOut {
	out := SubjectOut{Truncated: t.truncated, Sessions: []SubjectSessionOut{}, Latest: []SubjectLatestOut{}}
	for _, s := range t.subjects {
		out.Subjects = append(out.Subjects, SubjectInOut(s))
	}
	sessions := map[hook.Subject][]*hook.Message{}
	var order []hook.Subject
	for _, m := range t.messages {
		out.Data = append(out.Data, SubjectMessageOut{a.messageOut(m, false), a.IDs.Public(hook.KindApplication, m.App), pointer(m.Family)})
		primary := m.Subjects[0]
		if sessions[primary] == nil {
			order = append(order, primary)
		}
		sessions[primary] = append(sessions[primary], m)
	}
	for _, s := range order {
		session := SubjectSessionOut{Subject: SubjectInOut(s), Latest: a.latest(s, sessions[s])}
		for _, m := range sessions[s] {
			session.MsgIDs = append(session.MsgIDs, a.IDs.Public(hook.KindMessage, m.ID))
		}
		out.Sessions = append(out.Sessions, session)
		out.Latest = append(out.Latest, session.Latest...)
	}
	return out
}

// latest are the newest messages of each family, those of the family that was
// seen first first. A message without a family replaces nothing.
func (a *API) latest(s hook.Subject, messages []*hook.Message) []SubjectLatestOut {
	newest := map[string]*hook.Message{}
	var families []string
	for _, m := range messages {
		old := newest[m.Family]
		if m.Family == "" || old != nil && !old.Moment().Before(m.Moment()) {
			continue
		}
		if old == nil {
			families = append(families, m.Family)
		}
		newest[m.Family] = m
	}
	out := []SubjectLatestOut{}
	for _, f := range families {
		m := newest[f]
		out = append(out, SubjectLatestOut{SubjectInOut(s), f, a.IDs.Public(hook.KindMessage, m.ID), m.Type, when(occurred(m))})
	}
	return out
}
