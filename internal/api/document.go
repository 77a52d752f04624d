package api

import (
	"encoding/json"
	"net/http"
)

// DocumentPath is where the OpenAPI document is served.
const DocumentPath = "/openapi.json"

// DocumentJSON is the OpenAPI document as it is served and committed.
func (a *API) DocumentJSON() ([]byte, error) {
	raw, err := json.MarshalIndent(a.huma.OpenAPI(), "", "  ")
	if err != nil {
		return nil, err
	}
	return append(raw, '\n'), nil
}

// ServeDocument answers with the OpenAPI document.
func (a *API) ServeDocument(w http.ResponseWriter, r *http.Request) {
	raw, err := a.DocumentJSON()
	if err != nil {
		a.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(raw)
}
