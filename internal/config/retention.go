package config

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sigpost/sigpost/internal/hook"
)

// Days is an age, written as "90d" or "forever".
type Days hook.Days

// UnmarshalText reads an age.
func (d *Days) UnmarshalText(text []byte) error {
	written := strings.TrimSpace(string(text))
	if written == "forever" {
		*d = Days(hook.Forever)
		return nil
	}
	n, err := strconv.Atoi(strings.TrimSuffix(written, "d"))
	if err != nil || !strings.HasSuffix(written, "d") || n < 1 || n > int(hook.MostDays) {
		return fmt.Errorf(`%.60q is not an age in days; write it like "90d", or "forever"`, text)
	}
	*d = Days(n)
	return nil
}

// Ages are how long things are kept, each by its own age; zero parts are left to the default.
type Ages struct {
	Payloads Days `yaml:"payloads"`
	Attempts Days `yaml:"attempts"`
	Messages Days `yaml:"messages"`
}

// Retention is Ages in the words of the rest.
func (a Ages) Retention() hook.Retention {
	return hook.Retention{Payloads: hook.Days(a.Payloads), Attempts: hook.Days(a.Attempts), Messages: hook.Days(a.Messages)}
}

// Retention says how long what applications were sent and sources received is kept, where an
// organization does not say so itself.
type Retention struct {
	Applications Ages `yaml:"applications"`
	Sources      Ages `yaml:"sources"`
}
