package dispatch

import (
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// The rule by which an endpoint is disabled: so long without a success, with so many
// failures spread over so long. It is warned about before.
const (
	disableAfter    = hook.DisableAfter
	disableFailures = 10
	disableSpread   = 24 * time.Hour
)

// warnings are the parts of disableAfter, in percent, at which is warned.
func warnings() [3]int { return [...]int{50, 75, 90} }

// verdict is what follows from the health of an endpoint.
type verdict struct {
	// warn is the highest warning that is due and was not given, in percent; 0 is none.
	warn    int
	disable bool
	// at is when the endpoint is disabled if it goes on so.
	at time.Time
}

// judge says what follows at now from the health of an endpoint that is enabled.
// Endpoints of sources are the operator's own services: they are warned about
// and never disabled.
func judge(h *hook.Health, ofSource bool, now time.Time) verdict {
	if h.FailingSince.IsZero() || h.Failures < 2 { // one failure says little, however old
		return verdict{}
	}
	v := verdict{at: h.FailingSince.Add(disableAfter)}
	enough := h.Failures >= disableFailures && h.LastFailureAt.Sub(h.FailingSince) >= disableSpread
	if !ofSource && enough && !now.Before(v.at) {
		v.disable = true
		return v
	}
	elapsed := now.Sub(h.FailingSince)
	for _, percent := range warnings() {
		if percent > h.Warned && elapsed >= disableAfter*time.Duration(percent)/100 {
			v.warn = percent
		}
	}
	return v
}

// failedSince is the reason of an endpoint that was disabled by the rule.
func failedSince(h *hook.Health) string {
	return fmt.Sprintf("no success since %s: %d attempts failed", h.FailingSince.UTC().Format("2006-01-02 15:04 UTC"), h.Failures)
}
