package cli

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestInspectPrintsWhatAnEventIsAbout(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile("../provider/testdata/veriff-decision.json")
	if err != nil {
		t.Fatal(err)
	}
	r := invocation{args: []string{"inspect", "--provider", "veriff", "-"}, in: string(body)}.run(t)
	r.expect(t, ExitOK)
	want := `{
  "type": "veriff.decision.approved",
  "id": null,
  "dedupeKey": "sha256:8256905b04f041ed715568c281107d03f72b1d4bb62b573ba8fe8e623e7273ee",
  "family": "veriff.decision",
  "subjects": [
    {
      "kind": "session",
      "id": "12df6045-3846-3e45-946a-14fa6136d78b"
    },
    {
      "kind": "vendor_data",
      "id": "12345678"
    }
  ],
  "occurredAt": "2019-11-06T07:18:36.916Z",
  "rank": 3,
  "meanings": [
    {
      "field": "verification.code",
      "value": "9001",
      "meaning": "approved"
    }
  ]
}
`
	if diff := cmp.Diff(want, r.out); diff != "" {
		t.Error(diff)
	}
}

func TestInspectLooksAtHeaders(t *testing.T) {
	t.Parallel()
	i := invocation{args: []string{"inspect", "--provider", "github", "--header", "X-GitHub-Event: push", "--header", "X-GitHub-Delivery: 1-2-3", "-"}, in: "{}"}
	i.run(t).expect(t, ExitOK, `"type": "github.push"`, `"id": "1-2-3"`, `"dedupeKey": "id:1-2-3"`, `"subjects": []`, `"meanings": []`, `"occurredAt": null`)
}

func TestInspectSaysWhyAnEventIsUnknown(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"github": "give it with --header 'X-GitHub-Event: …'",
		"veriff": "keep and forward it as veriff.unknown",
	}
	for name, want := range tests {
		r := invocation{args: []string{"inspect", "--provider", name, "-"}, in: "not JSON"}.run(t)
		r.expect(t, ExitOK, want, `"type": "`+name+`.unknown"`, `"family": null`)
	}
}
