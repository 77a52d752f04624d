package hook

import (
	"reflect"
	"slices"
	"time"
)

// EndpointTask is the input of the tasks that send messages to an endpoint again,
// and of those that cancel what it still has to get.
type EndpointTask struct {
	App      Key `json:"app"`
	Endpoint Key `json:"endpoint"`
	// Messages are chosen by when they were made: not before Since, and before Until.
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	Choice

	// DryRun only counts what would be done.
	DryRun bool `json:"dryRun,omitempty"`
	// Pace is how many deliveries a second become due; 0 is DefaultPace.
	Pace int `json:"pace,omitempty"`
}

// Choice chooses deliveries by their messages and by what became of them; zero
// fields choose all.
type Choice struct {
	Types   []string        `json:"types,omitempty"`
	Channel string          `json:"channel,omitempty"`
	Tag     string          `json:"tag,omitempty"`
	States  []DeliveryState `json:"states,omitempty"`
	// Class is the class of the HTTP status that the newest attempt got: 100…500,
	// 0 where no answer came. Nil chooses all, also those without an attempt.
	Class *int `json:"class,omitempty"`
	// Subject is whom a message must be about.
	Subject *Subject `json:"subject,omitempty"`
	// Messages are the only ones that are looked at, in rising order.
	Messages []Key `json:"messages,omitempty"`
}

// Takes says whether the choice is for a message; Messages are the caller's affair.
func (c *Choice) Takes(m *Message) bool {
	return (len(c.Types) == 0 || slices.Contains(c.Types, m.Type)) &&
		(c.Channel == "" || slices.Contains(m.Channels, c.Channel)) &&
		(c.Tag == "" || slices.Contains(m.Tags, c.Tag)) &&
		(c.Subject == nil || slices.Contains(m.Subjects, *c.Subject))
}

// Bounds of the pace of a replay, in deliveries a second. DefaultPace is that of
// deliveries that were held; MostPace is still a small part of what a server can do.
const (
	DefaultPace = 100
	MostPace    = 1000
)

// Alike says whether two tasks of one kind, as they were kept, would do the same at
// the same time: they choose alike, whatever their range of time and their pace are.
// A dry run stands in nobody's way.
func (t *EndpointTask) Alike(other *EndpointTask) bool {
	return t.Endpoint == other.Endpoint && !t.DryRun && !other.DryRun && reflect.DeepEqual(t.Choice, other.Choice)
}

// JobData is the result of an EndpointTask.
type JobData struct {
	// MessagesSent is how many deliveries were made due.
	MessagesSent int64 `json:"messagesSent"`
	// MessagesCanceled is how many were canceled.
	MessagesCanceled int64    `json:"messagesCanceled,omitempty"`
	Progress         Progress `json:"progress"`
	// UnderWay is how many deliveries the task could not cancel yet: a process has
	// them in memory, and an attempt may be under way.
	UnderWay int64 `json:"underWay,omitempty"`
	// Pass counts how often the task went over the deliveries to cancel.
	Pass int `json:"pass,omitempty"`

	DryRun bool `json:"dryRun,omitempty"`
	// WouldSend and WouldCancel are the counts of a dry run, Examples some of the
	// messages.
	WouldSend   *int64   `json:"wouldSend,omitempty"`
	WouldCancel *int64   `json:"wouldCancel,omitempty"`
	Examples    []string `json:"examples,omitempty"`
}

// Progress is how far a task is.
type Progress struct {
	// Looked is how many deliveries or messages it looked at.
	Looked int64 `json:"looked"`
	Sent   int64 `json:"sent"`
	// Total is how many it has to look at, as counted at its beginning; left out
	// where that is not known beforehand.
	Total *int64 `json:"total,omitempty"`
}
