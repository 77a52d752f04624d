package store

import (
	"strings"
	"testing"
)

// What is due is found by looking into the index once for each endpoint and holder,
// however many deliveries wait: the first look stops at the first row, the others
// search for what comes after the last.
func TestWhatIsDueIsSearchedAndNotScanned(t *testing.T) {
	t.Parallel()
	s := open(t)
	for text, index := range map[string]string{
		"SELECT endpoint_id, min(next_at) FROM " + s.sqlFirstDue() + " GROUP BY endpoint_id": "deliveries_pending", s.sqlHolding(): "deliveries_held",
	} {
		searched := false
		for _, step := range explain(t, s.read, query{text: text}) {
			searched = searched || strings.HasPrefix(step, "SEARCH") && strings.Contains(step, index)
			if strings.HasPrefix(step, "SCAN") && !strings.Contains(step, index) && !strings.HasPrefix(step, "SCAN spot") && step != "SCAN (subquery-1)" {
				t.Errorf("%s in %s", step, text)
			}
		}
		if !searched {
			t.Errorf("%s is not searched in %s", index, text)
		}
	}
}

// A claim costs what it takes, however much waits: it reads the index from where the
// endpoint begins, in order, and finds what it holds by key.
func TestAClaimSearchesByEndpointAndHoldsByKey(t *testing.T) {
	t.Parallel()
	s := open(t)
	for text, want := range map[string]string{
		sqlDue:  "SEARCH deliveries USING INDEX deliveries_pending (endpoint_id=? AND holder=?)",
		sqlHold: "SEARCH deliveries USING INTEGER PRIMARY KEY (rowid=?)",
	} {
		steps := explain(t, s.read, query{text: text})
		if steps[0] != want {
			t.Errorf("%v, want %s first in %s", steps, want, text)
		}
		for _, step := range steps {
			if wholeTable.MatchString(step) {
				t.Errorf("%s in %s", step, text)
			}
		}
	}
}
