package provider

import "testing"

func TestDocumentationIsUpToDate(t *testing.T) {
	t.Parallel()
	got, err := builtin(t).Docs()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "../../docs/providers.md", got)
}
