package web_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// The form shows the usual retries where an endpoint has none of its own.
func TestTheFormShowsTheUsualRetries(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("src/screens/endpoints/retries.ts")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`usual = "([^"]+)"`).FindSubmatch(source)
	if found == nil {
		t.Fatal("the usual retries are not in retries.ts any more")
	}
	var shown []time.Duration
	for text := range strings.SplitSeq(string(found[1]), ", ") {
		wait, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		shown = append(shown, wait)
	}
	if want := hook.RetryWaits(); !slices.Equal(shown, want) {
		t.Errorf("the form shows %v, the server waits %v", shown, want)
	}
}
