package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestProvidersSayHowTheyAreSetUp(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	names := fieldOf(h.must(http.StatusOK, "GET", "/api/v1/provider", nil), "name")
	if fmt.Sprint(names) != "[generic github meetbot meeva metamap standard-webhooks stripe veriff]" {
		t.Errorf("there are %v", names)
	}
	for _, name := range names {
		p := h.must(http.StatusOK, "GET", "/api/v1/provider/"+name, nil)
		if !strings.Contains(fmt.Sprint(p["setup"]), "{url}") || len(p["samples"].([]any)) != len(p["sampleNames"].([]any)) || p["kind"] == "" {
			t.Errorf("%s: %v", name, p)
		}
		for _, x := range p["samples"].([]any) {
			if body := x.(map[string]any)["body"].(string); !json.Valid([]byte(body)) {
				t.Errorf("%s: a sample is %s", name, body)
			}
		}
	}
	metamap := h.must(http.StatusOK, "GET", "/api/v1/provider/metamap", nil)["secret"].(map[string]any)
	if metamap["generate"] != true || metamap["pattern"] != `^(?:(?=.*[A-Z])(?=.*[a-z])(?=.*[0-9])\S{16,})$` || metamap["needed"] != true {
		t.Errorf("MetaMap's secrets are %v", metamap)
	}
	h.must(http.StatusNotFound, "GET", "/api/v1/provider/nobody", nil)
	send, _ := h.scoped("send")
	h.as(send).must(http.StatusForbidden, "GET", "/api/v1/provider", nil)
}
