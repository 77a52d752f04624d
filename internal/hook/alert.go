package hook

import "time"

// Alert is something that happened and that its owner may have to act on. It is
// told as an operational webhook, by e-mail and as a line of the log.
type Alert struct {
	Kind     AlertKind
	Severity Severity
	Org      Key
	// About is the public id of what it is about, Name what people call that.
	About string
	Name  string
	At    time.Time // when it was noticed
	// What follows is for people. Title says in one line what happened; the
	// others may be empty.
	Title string
	Since time.Time // since when it is so; zero when it has only begun
	Why   string
	Next  string // what happens next, or what would help
	Look  string // the command that shows more
	// Data is what the operational webhook says under "data"; nil sends none:
	// what becomes of operational webhooks is not told by one.
	Data any
}

// AlertKind is the kind of an alert: the event type of its operational webhook.
type AlertKind string

// The kinds. Those that the wire API has are named as it names them; ours
// (warned, of sources, test) follow its style. What is about a source's own
// endpoints and events begins with "ingest.", as there.
const (
	AlertEndpointCreated  AlertKind = "endpoint.created"
	AlertEndpointUpdated  AlertKind = "endpoint.updated"
	AlertEndpointDeleted  AlertKind = "endpoint.deleted"
	AlertEndpointEnabled  AlertKind = "endpoint.enabled"
	AlertEndpointDisabled AlertKind = "endpoint.disabled"
	AlertEndpointWarned   AlertKind = "endpoint.warned"

	AlertAttemptFailing   AlertKind = "message.attempt.failing"
	AlertAttemptExhausted AlertKind = "message.attempt.exhausted"
	AlertAttemptRecovered AlertKind = "message.attempt.recovered"

	AlertIngestDisabled  AlertKind = "ingest.endpoint.disabled"
	AlertIngestWarned    AlertKind = "ingest.endpoint.warned"
	AlertIngestFailing   AlertKind = "ingest.message.attempt.failing"
	AlertIngestExhausted AlertKind = "ingest.message.attempt.exhausted"
	AlertIngestRecovered AlertKind = "ingest.message.attempt.recovered"

	AlertSourceFailing AlertKind = "ingest.source.failing" // too many of its requests do not verify
	AlertSourceSilent  AlertKind = "ingest.source.silent"  // nothing came for longer than usual

	AlertTaskFinished AlertKind = "background_task.finished" // or failed: its status says so

	// AlertTest is sent on demand, to see that alerts arrive.
	AlertTest AlertKind = "alert.test"
)

// AlertKinds are all kinds that somebody can ask for.
func AlertKinds() []AlertKind {
	return []AlertKind{
		AlertEndpointCreated, AlertEndpointUpdated, AlertEndpointDeleted, AlertEndpointEnabled, AlertEndpointDisabled, AlertEndpointWarned,
		AlertAttemptFailing, AlertAttemptExhausted, AlertAttemptRecovered,
		AlertIngestDisabled, AlertIngestWarned, AlertIngestFailing, AlertIngestExhausted, AlertIngestRecovered,
		AlertSourceFailing, AlertSourceSilent, AlertTaskFinished,
	}
}

// Severity is how much an alert matters.
type Severity int

// The severities.
const (
	Info     Severity = iota // somebody did it, or all is well again
	Warning                  // something will be lost or stopped unless it is mended
	Critical                 // something was lost or stopped
)

func (s Severity) String() string {
	switch s {
	case Info:
		return "info"
	case Warning:
		return "warning"
	case Critical:
		return "critical"
	}
	return "unknown"
}

// AlertClaim is the right to tell of something, which one node gets once.
type AlertClaim struct {
	About Key // the endpoint or source
	Org   Key
	Kind  AlertKind
	// Mark rises with what is to be told anew: there is no second claim until it
	// is at least Step above that of the last one.
	Mark int64
	Step int64
}

// AlertTry is what became of a test alert on one way.
type AlertTry struct {
	Way string // "email", "webhook" or "log"
	To  string // who gets it
	// Endpoint and Message are of a webhook: it is kept and on its way.
	Endpoint Key
	Message  Key
	Err      error // why it did not go
}

// Gap is a time between two events in which none came.
type Gap struct{ From, To time.Time }

// Length is how long it was.
func (g Gap) Length() time.Duration { return g.To.Sub(g.From) }
