package api_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write api/openapi.json anew")

// The contract is reviewed as a diff, so the document is committed.
func TestTheCommittedDocumentIsTheAPIs(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	got, err := h.server.API().DocumentJSON()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("..", "..", "api", "openapi.json")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("api/openapi.json is not the document of the API; go test ./internal/api -run Document -update writes it anew")
	}
}
