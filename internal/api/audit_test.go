package api_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

const auditPath = "/api/v1/audit"

// entries are those of the audit log, the oldest first: who, what, to what, with which fields.
func (h *harness) entries(query string) (lines []string) {
	h.t.Helper()
	for _, e := range h.must(http.StatusOK, "GET", auditPath+"?limit=250"+query, nil)["data"].([]any) {
		e := e.(map[string]any)
		actor, object := e["actor"].(map[string]any), e["object"].(map[string]any)
		var changes []string
		for _, c := range e["changes"].([]any) {
			c := c.(map[string]any)
			text := c["field"].(string)
			if to, known := c["to"]; known {
				text += fmt.Sprint("=", to)
			}
			changes = append(changes, text)
		}
		line := fmt.Sprintf("%s %s %s: %s %s %q [%s]", actor["kind"], actor["name"], e["action"], object["kind"], object["id"], object["name"], strings.Join(changes, " "))
		if p, ok := e["parent"].(map[string]any); ok {
			line += fmt.Sprint(" in ", p["kind"], " ", p["id"])
		}
		lines = append([]string{line}, lines...)
	}
	return lines
}

func TestEveryChangeIsInTheAuditLog(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ana := h.signedIn("ana", "admin")
	id := h.must(http.StatusOK, "GET", people, nil)["data"].([]any)[0].(map[string]any)["id"].(string)
	var made map[string]any
	post := func(path, body string) string {
		t.Helper()
		made = map[string]any{}
		if err := json.Unmarshal([]byte(ana.may(http.StatusCreated, "POST", path, body)), &made); err != nil {
			t.Fatal(err)
		}
		return made["id"].(string)
	}
	app := post("/api/v1/app", `{"name":"customer","uid":"c"}`)
	ep := post("/api/v1/app/c/endpoint", `{"url":"https://example.com/hidden2?key=hidden3","secret":"whsec_aGlkZGVuNGhpZGRlbjRoaWRkZW40aGlk","headers":{"Authorization":"hidden5"},"metadata":{"a":"b"}}`)
	at := "/api/v1/app/c/endpoint/" + ep
	ana.may(http.StatusOK, "PATCH", at, `{"disabled":true,"rateLimit":null,"throttleRate":7}`)
	ana.may(http.StatusOK, "GET", at+"/secret", nil)
	ana.may(http.StatusOK, "GET", at, nil)
	ana.may(http.StatusOK, "POST", "/api/v1/environment/export", `{}`)
	ana.may(http.StatusNotFound, "DELETE", "/api/v1/app/nobody", nil)
	ana.may(http.StatusAccepted, "POST", "/api/v1/app/c/msg", `{"eventType":"a.b","payload":{"hidden6":1}}`)
	key := post(tokens, `{"name":"ci","scope":"developer"}`)
	h.as(made["token"].(string)).must(http.StatusOK, "PATCH", "/api/v1/app/c", `{"name":"Customer"}`)
	h.must(http.StatusNoContent, "DELETE", tokens+"/"+key, nil)
	portal := h.must(http.StatusOK, "POST", "/api/v1/auth/app-portal-access/c", `{"sessionId":"s1"}`)["token"].(string)
	h.as(portal).must(http.StatusOK, "PATCH", at, `{"url":"https://evil.example/x?y"}`)
	h.must(http.StatusOK, "PATCH", "/api/v1/organization", `{"retention":{"payloads":3},"signatureHeaders":"both"}`)
	ana.may(http.StatusOK, "POST", session+"/password", map[string]any{"password": "hidden7 hidden7 hidden7", "current": password})
	ana.may(http.StatusNoContent, "DELETE", session, nil)

	got := h.entries("")
	org := h.must(http.StatusOK, "GET", "/api/v1/organization", nil)["id"]
	want := []string{
		`token JWT user.create: user ` + id + ` "ana" [name role=admin]`,
		`link ana authentication.session.create: user ` + id + ` "ana" []`,
		`user ana authentication.session.password: session  "" [password]`,
		`user ana application.create: application ` + app + ` "customer" [name uid]`,
		`user ana endpoint.create: endpoint ` + ep + ` "" [headers metadata secret url=https://example.com] in application c`,
		`user ana endpoint.patch: endpoint ` + ep + ` "" [disabled=true rateLimit=null throttleRate=7] in application c`,
		`user ana endpoint.get-secret: endpoint ` + ep + ` "" [] in application c`,
		`user ana authentication.token.create: token ` + key + ` "ci" [name scope=developer]`,
		`token ci application.patch: application ` + app + ` "Customer" [name]`,
		`token JWT authentication.token.delete: token ` + key + ` "" []`,
		`token JWT authentication.app-portal-access: application c "" [expiry=604800 sessionId]`,
		`token portal s1 endpoint.patch: endpoint ` + ep + ` "" [url=https://evil.example] in application c`,
		`token JWT organization.patch: organization ` + fmt.Sprint(org) + ` "org_tests" [retention.payloads=3 signatureHeaders=both]`,
		`user ana authentication.session.password: session  "" [current password]`,
		`user ana authentication.session.delete: session  "" []`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the audit log has\n%s\nand this is right\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if n := len(h.entries("&actor=" + id)); n != 9 {
		t.Errorf("ana did %d things, 9 are right", n)
	}
	if n := len(h.entries("&object=" + ep + "&action=endpoint.patch")); n != 2 {
		t.Errorf("the endpoint was changed %d times, 2 are right", n)
	}
	file := h.send("GET", auditPath+"/export", nil)
	if lines := strings.Count(file.Body.String(), "\n"); lines != len(want) || file.Header().Get("Content-Disposition") != `attachment; filename="audit.ndjson"` {
		t.Errorf("exported %d lines with %v", lines, file.Header())
	}
	for _, secret := range []string{"hidden", "aGlkZGVuNGhp", portal, "sigpost_", "whsec"} {
		if strings.Contains(file.Body.String(), secret) {
			t.Errorf("the log holds %s", secret)
		}
	}
	// Another organization sees nothing of it, and only administrators see their own.
	if other := h.as(jwtOf(t, "org_thieves", "")).entries(""); len(other) != 0 {
		t.Errorf("another organization has %v", other)
	}
	for _, scope := range []string{"viewer", "developer", "send"} {
		key, _ := h.scoped(scope)
		h.as(key).must(http.StatusForbidden, "GET", auditPath, nil)
		h.as(key).must(http.StatusForbidden, "GET", auditPath+"/export", nil)
	}
	h.as(portal).must(http.StatusForbidden, "GET", auditPath, nil)
}

func TestTheCommandLineIsInTheAuditLog(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := newRequest(t, "POST", "/api/v1/app", `{"name":"a"}`)
	w := record(h.server.Control(), r)
	if w.Code != http.StatusCreated {
		t.Fatal(w.Body)
	}
	w = record(h.server.Control(), newRequest(t, "GET", auditPath, ""))
	if !strings.Contains(w.Body.String(), `"actor":{"kind":"operator","id":"","name":"command line"}`) || !strings.Contains(w.Body.String(), `"remote":""`) {
		t.Errorf("the log is %s", w.Body)
	}
}

// A name is no formula of whoever opens the file.
func TestAuditIsExportedForSpreadsheets(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.must(http.StatusCreated, "POST", "/api/v1/app", `{"name":"=cmd|'/c calc'!A1, \"x\"\n"}`)
	w := h.send("GET", auditPath+"/export?format=csv", nil)
	rows, err := csv.NewReader(w.Body).ReadAll()
	if err != nil || len(rows) != 2 || rows[0][0] != "id" || rows[1][8] != "'=cmd|'/c calc'!A1, \"x\"\n" || rows[1][12] != `[{"field":"name"}]` {
		t.Errorf("exported %q, %v", rows, err)
	}
}

// Where a comma is for decimals, spreadsheets part cells at semicolons.
func TestNoCellOfTheExportIsAFormula(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	names := map[string]string{"a;=1+1": "a;'=1+1", "\n+1": "\n'+1", "＝1": "'＝1", "a; @x": "a; '@x", "a-b; c=d": "a-b; c=d", "@a": "'@a", "b;\t=1": "b;\t'=1", " -1": " '-1"}
	for name := range names {
		h.must(http.StatusCreated, "POST", "/api/v1/app", map[string]any{"name": name})
	}
	rows, err := csv.NewReader(h.send("GET", auditPath+"/export?format=csv", nil).Body).ReadAll()
	if err != nil || len(rows) != len(names)+1 {
		t.Fatalf("exported %q, %v", rows, err)
	}
	for _, want := range names {
		if !slices.ContainsFunc(rows, func(row []string) bool { return row[8] == want }) {
			t.Errorf("%q is not in %q", want, rows)
		}
	}
}

func TestManyEntriesAreExportedWhole(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for range 1100 {
		h.must(http.StatusOK, "PATCH", "/api/v1/organization", `{"auditRetention":7}`)
	}
	if n := strings.Count(h.send("GET", auditPath+"/export", nil).Body.String(), "\n"); n != 1100 {
		t.Errorf("%d entries were exported, 1100 are right", n)
	}
	h.refused(map[string]refusal{
		"no days":           {"PATCH", "/api/v1/organization", `{"auditRetention":0}`, 422, "body auditRetention"},
		"another format":    {"GET", auditPath + "/export?format=xml", ``, 422, "query format"},
		"another iterator":  {"GET", auditPath + "?iterator=app_x", ``, 422, "query iterator"},
		"a time that's not": {"GET", auditPath + "?since=soon", ``, 422, "query since"},
	})
}
