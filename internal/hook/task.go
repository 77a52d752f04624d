package hook

import (
	"encoding/json"
	"time"
)

// Task is work that goes on after its request was answered.
type Task struct {
	ID     Key
	Org    Key
	Kind   TaskKind
	Status TaskStatus
	// Input is what was asked for; its form depends on the kind.
	Input json.RawMessage
	// Cursor is how far it is, so that it goes on after a restart.
	Cursor Key
	// Data is the result, also while it grows.
	Data json.RawMessage
	// NextAt is when its next step may be made; zero means at once.
	NextAt    time.Time
	UpdatedAt time.Time
}

// TaskKind is what a task does, in the words of the wire API.
type TaskKind string

// The kinds.
const (
	TaskReplayMissing       TaskKind = "endpoint.replay"
	TaskRecover             TaskKind = "endpoint.recover"
	TaskBulkReplay          TaskKind = "endpoint.bulk-replay"
	TaskCancelPending       TaskKind = "endpoint.cancel-pending" // ours; see Wire
	TaskAppStats            TaskKind = "application.stats"
	TaskAggregateEventTypes TaskKind = "event-type.aggregate"
	TaskPurgeContent        TaskKind = "application.purge_content"
)

// Wire is the kind by which the wire API knows it: its clients refuse a whole
// list for one word that they do not know.
func (k TaskKind) Wire() TaskKind {
	if k == TaskCancelPending {
		return TaskBulkReplay
	}
	return k
}

// TaskStatus is where a task is.
type TaskStatus string

// The statuses.
const (
	TaskRunning  TaskStatus = "running"
	TaskPaused   TaskStatus = "paused"   // by hand; it can go on
	TaskCanceled TaskStatus = "canceled" // by hand, for good
	TaskFinished TaskStatus = "finished"
	TaskFailed   TaskStatus = "failed"
)

// Over says that a task does nothing any more.
func (s TaskStatus) Over() bool { return s != TaskRunning && s != TaskPaused }

// Wire is the status in the three words of the wire API.
func (s TaskStatus) Wire() TaskStatus {
	switch s {
	case TaskPaused:
		return TaskRunning
	case TaskCanceled:
		return TaskFinished
	}
	return s
}

// TaskFilter chooses tasks; what is empty chooses all.
type TaskFilter struct {
	Kinds    []TaskKind
	Statuses []TaskStatus
}

// StatsTask is the input of a count of what applications were sent.
type StatsTask struct {
	Since time.Time `json:"since"` // deliveries made not before
	Until time.Time `json:"until"` // and before
	// All asks for every application; Apps is empty then.
	All  bool  `json:"all,omitempty"`
	Apps []Key `json:"apps,omitempty"` // rising
}

// AppTask is the input of tasks about one application.
type AppTask struct {
	App Key `json:"app"`
}

// The results of tasks, as Task.Data holds them, also while they grow.

// PurgedData is the result of deleting the payloads of an application.
type PurgedData struct {
	MessagesPurged int64 `json:"messagesPurged"`
}

// AppStatsData is the result of a count of what applications were sent.
type AppStatsData struct {
	AppStats []AppStat `json:"appStats"`
}

// AppStat is what one application was sent.
type AppStat struct {
	AppID               string  `json:"appId"`
	AppUID              *string `json:"appUid"`
	MessageDestinations int64   `json:"messageDestinations"` // deliveries
}

// SubscribedData is the result of gathering the subscribed event types.
type SubscribedData struct {
	EventTypes []Subscribed `json:"event_types"`
}

// Subscribed is what the endpoints of one application ask for.
type Subscribed struct {
	AppID      string   `json:"appId"`
	EventTypes []string `json:"explicitlySubscribedEventTypes"`
	// CatchAll says that an endpoint gets every event type.
	CatchAll bool `json:"hasCatchAllEndpoint"`
}
