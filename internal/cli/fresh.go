package cli

import (
	"strings"
	"time"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"

	"github.com/sigpost/sigpost/internal/provider"
)

// freshTime gives the event the present time, for a provider without ids. It is
// nil when the body has no time as text either.
func freshTime(d *provider.Definition, body []byte) []byte {
	for _, rule := range d.Rules {
		for _, place := range rule.Time {
			path := strings.Join(place.Keys, ".")
			if place.Header != "" || gjson.GetBytes(body, path).Type != gjson.String {
				continue
			}
			changed, err := sjson.SetBytes(body, path, time.Now().UTC().Format(time.RFC3339Nano))
			if err == nil {
				return changed
			}
		}
	}
	return nil
}
