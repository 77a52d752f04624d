package api_test

import "testing"

// The same with several clients at once, which meet at the same things.
func TestTheAPIKeepsToItsDocumentForMany(t *testing.T) {
	t.Parallel()
	fuzz(t, *fuzzRequests/4, 6)
}
