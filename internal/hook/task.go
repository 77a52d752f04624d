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
	Data      json.RawMessage
	UpdatedAt time.Time
}

// TaskKind is what a task does, in the words of the wire API.
type TaskKind string

// The kinds.
const (
	TaskReplayMissing       TaskKind = "endpoint.replay"
	TaskRecover             TaskKind = "endpoint.recover"
	TaskBulkReplay          TaskKind = "endpoint.bulk-replay"
	TaskAppStats            TaskKind = "application.stats"
	TaskAggregateEventTypes TaskKind = "event-type.aggregate"
	TaskPurgeContent        TaskKind = "application.purge_content"
)

// TaskStatus is where a task is.
type TaskStatus string

// The statuses.
const (
	TaskRunning  TaskStatus = "running"
	TaskFinished TaskStatus = "finished"
	TaskFailed   TaskStatus = "failed"
)

// EndpointTask is the input of the tasks that send messages to an endpoint again.
type EndpointTask struct {
	App      Key `json:"app"`
	Endpoint Key `json:"endpoint"`
	// Messages are chosen by when they were made: not before Since, and before Until.
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	// The rest chooses deliveries of a bulk replay; zero fields choose all.
	Types   []string        `json:"types,omitempty"`
	Channel string          `json:"channel,omitempty"`
	Tag     string          `json:"tag,omitempty"`
	States  []DeliveryState `json:"states,omitempty"`
	// Class is the class of the HTTP status that the newest attempt got: 100…500,
	// 0 where no answer came. Nil chooses all, also those without an attempt.
	Class *int `json:"class,omitempty"`
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

// SentData is the result of the tasks that send messages again.
type SentData struct {
	MessagesSent int64 `json:"messagesSent"`
}

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

// TaskError is the data of a task that failed.
type TaskError struct {
	Error string `json:"error"`
}
