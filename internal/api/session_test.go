package api_test

import (
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to turn back the clock of a session
)

const (
	people   = "/api/v1/user"
	session  = "/api/v1/auth/session"
	password = "correct horse battery"
)

// browser is one in which a person may be signed in. Its requests come from a page of the dashboard.
type browser struct {
	*harness
	cookie string
}

func (h *harness) browser() *browser { return &browser{h.as(""), ""} }

// ask makes a request with the cookie, and keeps the one that is answered.
func (b *browser) ask(method, path string, body any, header ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	header = append([]string{"Sec-Fetch-Site", "same-origin"}, header...)
	if b.cookie != "" {
		header = append(header, "Cookie", b.cookie)
	}
	w := b.send(method, path, body, header...)
	for _, c := range w.Result().Cookies() {
		b.cookie = c.Name + "=" + c.Value
	}
	return w
}

// may makes a request that must get a status.
func (b *browser) may(status int, method, path string, body any, header ...string) string {
	b.t.Helper()
	w := b.ask(method, path, body, header...)
	if w.Code != status {
		b.t.Fatalf("%s %s: %d %s, %d is right", method, path, w.Code, w.Body, status)
	}
	return w.Body.String()
}

// person makes somebody and is the token of his link.
func (h *harness) person(name, role string) (id, token string) {
	h.t.Helper()
	made := h.must(http.StatusCreated, "POST", people, map[string]any{"name": name, "role": role})
	return made["id"].(string), h.tokenOf(made)
}

// tokenOf is the token in a link.
func (h *harness) tokenOf(made map[string]any) string {
	h.t.Helper()
	link, err := url.Parse(made["link"].(string))
	if err != nil || link.RawQuery != "" {
		h.t.Fatalf("the link is %v, %v: what stands before # is sent to servers", made["link"], err)
	}
	_, token, ok := strings.Cut(link.Fragment, "/welcome?token=")
	if !ok {
		h.t.Fatalf("the link is %s", link)
	}
	return token
}

// signedIn is a browser in which somebody of a role is signed in with a password.
func (h *harness) signedIn(name, role string) *browser {
	h.t.Helper()
	_, token := h.person(name, role)
	b := h.browser()
	b.may(http.StatusOK, "POST", session+"/link", map[string]any{"token": token})
	b.may(http.StatusOK, "POST", session+"/password", map[string]any{"password": password})
	return b
}

func credentials(name, password string) map[string]any {
	return map[string]any{"name": name, "password": password}
}

func TestAPersonSignsInWithALinkAndThenWithAPassword(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	id, token := h.person("Ana", "developer")
	b := h.browser()
	b.may(http.StatusUnauthorized, "GET", session, nil)
	if got := b.may(http.StatusOK, "POST", session+"/link", map[string]any{"token": token}); !strings.Contains(got, `"mustSetPassword":true`) || !strings.Contains(got, id) {
		t.Errorf("after the link: %s", got)
	}
	h.browser().may(http.StatusUnauthorized, "POST", session+"/link", map[string]any{"token": token})
	byLink := b.cookie
	for _, short := range []string{"", "eleven char", "Ana"} {
		b.may(http.StatusUnprocessableEntity, "POST", session+"/password", map[string]any{"password": short})
	}
	b.may(http.StatusOK, "POST", session+"/password", map[string]any{"password": password})
	if b.cookie == byLink {
		t.Error("the token from before the password goes on being one")
	}
	old := &browser{h.as(""), byLink}
	old.may(http.StatusUnauthorized, "GET", session, nil)

	b.may(http.StatusNoContent, "DELETE", session, nil)
	if b.cookie != "sigpost_session=" {
		t.Errorf("after signing out the cookie is %s", b.cookie)
	}
	b = h.browser()
	b.may(http.StatusOK, "POST", session, credentials("ANA", password))
	got := b.may(http.StatusOK, "GET", session, nil)
	for _, part := range []string{`"user":{"id":"` + id + `","name":"Ana","role":"developer"}`, `"scopes":["developer"]`, `"mustSetPassword":false`, `"organization":{"id":"org_`, `"expiresAt":"`} {
		if !strings.Contains(got, part) {
			t.Errorf("who am I: %s lacks %s", got, part)
		}
	}
	if seen := h.must(http.StatusOK, "GET", people+"/"+id, nil)["lastSeenAt"]; seen == nil {
		t.Error("she was never seen")
	}

	// Another password needs the old one, and ends all other sessions.
	other := h.browser()
	other.may(http.StatusOK, "POST", session, credentials("ana", password))
	link := h.must(http.StatusCreated, "POST", people+"/"+id+"/link", nil)
	b.may(http.StatusUnprocessableEntity, "POST", session+"/password", map[string]any{"password": "another horse battery"})
	b.may(http.StatusUnprocessableEntity, "POST", session+"/password", map[string]any{"password": "another horse battery", "current": "not this one"})
	b.may(http.StatusOK, "POST", session+"/password", map[string]any{"password": "another horse battery", "current": password})
	b.may(http.StatusOK, "GET", session, nil)
	other.may(http.StatusUnauthorized, "GET", session, nil)
	h.browser().may(http.StatusUnauthorized, "POST", session, credentials("ana", password))
	h.browser().may(http.StatusUnauthorized, "POST", session+"/link", map[string]any{"token": h.tokenOf(link)})

	// Who forgot his password gets a link, and needs no old one.
	link = h.must(http.StatusCreated, "POST", people+"/"+id+"/link", nil)
	b = h.browser()
	b.may(http.StatusOK, "POST", session+"/link", map[string]any{"token": h.tokenOf(link)})
	b.may(http.StatusOK, "POST", session+"/password", map[string]any{"password": password})
	h.browser().may(http.StatusOK, "POST", session, credentials("ana", password))
}

func TestCookiesOfSessionsAreForBrowsersAlone(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signedIn("ana", "viewer")
	for at, want := range map[string]string{
		"http://x.example":  "sigpost_session=; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict",
		"https://x.example": "__Host-sigpost_session=; Path=/; Max-Age=604800; HttpOnly; Secure; SameSite=Strict",
	} {
		b := h.browser()
		got := b.ask("POST", at+session, credentials("ana", password)).Header().Get("Set-Cookie")
		name, value, _ := strings.Cut(b.cookie, "=")
		if len(value) != 43 || strings.Replace(got, value, "", 1) != want {
			t.Errorf("%s: %s, %s is right", at, got, want)
		}
		b.may(http.StatusOK, "GET", at+session, nil)
		if w := b.ask("GET", at+session, nil); w.Header().Get("Cache-Control") != "no-store" {
			t.Error("an answer to a person may be kept by others")
		}
		h.as(value).must(http.StatusUnauthorized, "GET", session, nil)
		if name == "__Host-sigpost_session" { // a neighbouring host can set the other one
			tossed := &browser{h.as(""), "sigpost_session=" + value}
			tossed.may(http.StatusUnauthorized, "GET", at+session, nil)
		}
	}
	key, _ := h.scoped("admin")
	for _, cookie := range []string{"sigpost_session=" + key, "sigpost_session=x", "sigpost_session=", "sigpost_session=" + h.token} {
		(&browser{h.as(""), cookie}).may(http.StatusUnauthorized, "GET", session, nil)
	}
}

// No page but the dashboard's acts, or reads, with a person's cookie.
func TestOnlyPagesOfTheDashboardUseACookie(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	b := h.signedIn("ana", "admin")
	const at = "http://sigpost.example:8080"
	for name, c := range map[string]struct {
		header    []string
		get, post int
	}{
		"the browser says same origin":      {[]string{"Sec-Fetch-Site", "same-origin"}, 200, 201},
		"it says so of another Origin":      {[]string{"Sec-Fetch-Site", "cross-site", "Origin", at}, 401, 401},
		"a neighbouring host":               {[]string{"Sec-Fetch-Site", "same-site", "Origin", "http://other.sigpost.example:8080"}, 401, 401},
		"an address that was typed":         {[]string{"Sec-Fetch-Site", "none"}, 200, 403},
		"an old browser, our Origin":        {[]string{"Origin", at}, 200, 201},
		"an old browser, none":              {nil, 200, 403},
		"an old browser, another":           {[]string{"Origin", "http://evil.example"}, 401, 401},
		"an old browser, one that has ours": {[]string{"Origin", at + ".evil.example"}, 401, 401},
		"an old browser, another port":      {[]string{"Origin", "http://sigpost.example"}, 401, 401},
		"an old browser, another scheme":    {[]string{"Origin", "https://sigpost.example:8080"}, 401, 401},
		"a frame without an origin":         {[]string{"Origin", "null"}, 401, 401},
	} {
		for method, want := range map[string]int{"GET": c.get, "POST": c.post} {
			header := append([]string{"Cookie", b.cookie}, c.header...)
			body := ""
			if method == "POST" {
				body = `{"name":"made"}`
			}
			if w := h.as("").send(method, at+"/api/v1/app", body, header...); w.Code != want {
				t.Errorf("%s: %s is answered %d, %d is right: %s", name, method, w.Code, want, w.Body)
			}
		}
		// Nobody signs somebody else in without his doing.
		want := 200
		if c.post != 201 {
			want = 403
		}
		if w := h.as("").send("POST", at+session, credentials("ana", password), c.header...); w.Code != want || want == 403 && w.Header().Get("Set-Cookie") != "" {
			t.Errorf("%s: signing in is answered %d, %d is right", name, w.Code, want)
		}
		if w := h.as("").send("POST", at+session+"/link", `{"token":"x"}`, c.header...); want == 403 && w.Code != 403 {
			t.Errorf("%s: a link is answered %d", name, w.Code)
		}
	}
	// Who sends a token is who it says, and nobody when it is wrong.
	viewer, _ := h.scoped("viewer")
	b.token = viewer
	b.may(http.StatusForbidden, "POST", "/api/v1/app", `{"name":"made"}`)
	b.token = "sigpost_wrong"
	b.may(http.StatusUnauthorized, "GET", "/api/v1/app", nil)
}

func TestWrongNamesAndPasswordsAreOneAnswer(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signedIn("ana", "viewer")
	gone, _ := h.person("invited", "viewer")
	off := h.signedIn("off", "viewer")
	id := h.must(http.StatusOK, "GET", people, nil)["data"].([]any)[0].(map[string]any)["id"].(string)
	h.must(http.StatusOK, "PATCH", people+"/"+id, `{"disabled":true}`)
	off.may(http.StatusUnauthorized, "GET", session, nil)
	answers := map[string]bool{}
	for _, c := range []map[string]any{credentials("ana", "wrong"), credentials("nobody", password), credentials("off", password), credentials("off", "wrong"), credentials("invited", password)} {
		w := h.browser().ask("POST", session, c)
		answers[fmt.Sprint(w.Code, w.Body, w.Header())] = true
	}
	if len(answers) != 1 {
		t.Errorf("the answers differ, and tell who is there (%s): %v", gone, answers)
	}
	for a := range answers {
		if !strings.Contains(a, `401 {"code":"bad_credentials"`) {
			t.Errorf("the answer is %s", a)
		}
	}
}

func TestGuessesAreSlowedDown(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signedIn("ana", "viewer")
	for range 5 {
		h.browser().may(http.StatusUnauthorized, "POST", session, credentials("ana", "wrong"))
	}
	w := h.browser().ask("POST", session, credentials("Ana", password)) // also when it is right now
	wait, err := strconv.Atoi(w.Header().Get("Retry-After"))            // a minute, less what the five took
	if w.Code != http.StatusTooManyRequests || err != nil || wait > 60 || wait < 30 {
		t.Errorf("the sixth guess: %d after %q %s", w.Code, w.Header().Get("Retry-After"), w.Body)
	}
	if w := h.browser().ask("POST", session, credentials("nobody", "wrong")); w.Code != http.StatusUnauthorized {
		t.Errorf("another name: %d", w.Code)
	}
}

func TestSessionsEndWhenTheyAreNotUsedAndAfterAWeek(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	b := h.signedIn("ana", "viewer")
	db, err := sql.Open("sqlite", "file:"+filepath.Join(h.dir, "sigpost.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	// back turns the clock of the session back, and waits until what is remembered is old.
	back := func(created, seen time.Duration) (status int) {
		t.Helper()
		now := time.Now()
		_, err := db.Exec("UPDATE sessions SET created_at = ?, seen_at = ?", now.Add(-created).UnixMilli(), now.Add(-seen).UnixMilli())
		if err != nil {
			t.Fatal(err)
		}
		_, other := h.person(fmt.Sprint("p", now.UnixNano()), "viewer") // what is changed here forgets what is remembered
		_ = other
		h.must(http.StatusOK, "PATCH", people+"/"+h.must(http.StatusOK, "GET", people, nil)["data"].([]any)[0].(map[string]any)["id"].(string), `{}`)
		return b.ask("GET", session, nil).Code
	}
	for _, c := range []struct {
		created, seen time.Duration
		want          int
	}{
		{48 * time.Hour, 12*time.Hour - time.Minute, 200},
		{48 * time.Hour, 12*time.Hour + time.Second, 401},
		{7*24*time.Hour - time.Minute, time.Second, 200},
		{7*24*time.Hour + time.Second, time.Second, 401},
	} {
		if got := back(c.created, c.seen); got != c.want {
			t.Errorf("begun %v ago and used %v ago: %d, %d is right", c.created, c.seen, got, c.want)
		}
	}
	if got := back(48*time.Hour, 11*time.Hour); got != 200 {
		t.Fatalf("used 11 hours ago: %d", got)
	}
	var seen int64
	if err := db.QueryRow("SELECT max(seen_at) FROM sessions").Scan(&seen); err != nil || time.Since(time.UnixMilli(seen)) > time.Minute {
		t.Errorf("its use was not written down: %v, %v", time.UnixMilli(seen), err)
	}
}

func TestOnlyAdministratorsReachPeople(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	victim, _ := h.person("victim", "admin")
	app := h.app("a")
	portal := h.must(http.StatusOK, "POST", "/api/v1/auth/app-portal-access/"+app, `{}`)["token"].(string)
	send, _ := h.scoped("send")
	viewer, _ := h.scoped("viewer")
	developer, _ := h.scoped("developer")
	for name, who := range map[string]*browser{
		"viewer": h.signedIn("v", "viewer"), "developer": h.signedIn("d", "developer"),
		"portal": {h.as(portal), ""}, "send": {h.as(send), ""}, "viewer's key": {h.as(viewer), ""}, "developer's key": {h.as(developer), ""},
	} {
		for _, c := range [][3]string{
			{"GET", people, ""}, {"POST", people, `{"name":"n","role":"admin"}`}, {"GET", people + "/" + victim, ""}, {"PATCH", people + "/" + victim, `{"role":"viewer"}`},
			{"DELETE", people + "/" + victim, ""}, {"POST", people + "/" + victim + "/link", ""},
		} {
			if w := who.ask(c[0], c[1], c[2]); w.Code != http.StatusForbidden {
				t.Errorf("%s: %s %s is answered %d", name, c[0], c[1], w.Code)
			}
		}
	}
	// An administrator does everything, but not to himself.
	ana := h.signedIn("ana", "admin")
	var me string
	for _, u := range h.must(http.StatusOK, "GET", people, nil)["data"].([]any) {
		if u := u.(map[string]any); u["name"] == "ana" {
			me = u["id"].(string)
		}
	}
	for _, body := range []string{`{"role":"viewer"}`, `{"disabled":true}`} {
		ana.may(http.StatusConflict, "PATCH", people+"/"+me, body)
	}
	ana.may(http.StatusConflict, "DELETE", people+"/"+me, nil)
	ana.may(http.StatusOK, "PATCH", people+"/"+me, `{"name":"Ana Maria","role":"admin"}`)
	ana.may(http.StatusOK, "PATCH", people+"/"+victim, `{"role":"developer"}`)
	// What an administrator takes away is gone at once.
	h.must(http.StatusOK, "PATCH", people+"/"+me, `{"role":"viewer"}`)
	ana.may(http.StatusForbidden, "GET", people, nil)
	ana.may(http.StatusForbidden, "POST", "/api/v1/app", `{"name":"n"}`)
	h.must(http.StatusNoContent, "DELETE", people+"/"+me, nil)
	ana.may(http.StatusUnauthorized, "GET", session, nil)
	h.refused(map[string]refusal{
		"a name that is taken":       {"POST", people, `{"name":"VICTIM","role":"viewer"}`, 409, ""},
		"a role that is none":        {"POST", people, `{"name":"n","role":"send"}`, 422, "body role"},
		"a role of applications":     {"PATCH", people + "/" + victim, `{"role":"app"}`, 422, "body role"},
		"a name with spaces":         {"POST", people, `{"name":" n","role":"viewer"}`, 422, "body name"},
		"a name that cannot be seen": {"POST", people, `{"name":"n\u200b","role":"viewer"}`, 422, "body name"},
		"the session of a token":     {"DELETE", session, ``, 403, ""},
		"the password of a token":    {"POST", session + "/password", `{"password":"correct horse battery"}`, 403, ""},
	})
}

func TestWhoComesWithATokenLearnsWhatItReaches(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	open := h.must(http.StatusOK, "POST", "/api/v1/auth/app-portal-access/"+app, `{"readOnly":true,"capabilities":["ViewBase"]}`)["token"].(string)
	got := h.as(open).must(http.StatusOK, "GET", session, nil)
	if got["user"] != nil || fmt.Sprint(got["portal"]) != fmt.Sprint(map[string]any{"appId": app, "readOnly": true, "capabilities": []any{"ViewBase"}, "colour": nil, "logo": nil}) {
		t.Errorf("a portal: %v", got)
	}
	if got := h.must(http.StatusOK, "GET", session, nil); got["user"] != nil || got["portal"] != nil || fmt.Sprint(got["scopes"]) != "[admin]" {
		t.Errorf("an organization's token: %v", got)
	}
}

// The answer that is kept for an idempotency key is nobody else's.
func TestIdempotencyKeysOfPeopleAreTheirOwn(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ana, ben := h.signedIn("ana", "admin"), h.signedIn("ben", "admin")
	const body = `{"name":"k","scope":"viewer"}`
	first := ana.may(http.StatusCreated, "POST", tokens, body, "Idempotency-Key", "one")
	if again := ana.may(http.StatusCreated, "POST", tokens, body, "Idempotency-Key", "one"); again != first {
		t.Error("the same request of the same person was done twice")
	}
	if other := ben.may(http.StatusCreated, "POST", tokens, body, "Idempotency-Key", "one"); other == first {
		t.Error("the answer of one person, with its token, was given to another")
	}
}

// What is kept of a request under its key is a hash without salt, from which a password is guessed fast.
func TestNothingIsKeptOfARequestWithAPassword(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, token := h.person("ana", "viewer")
	b := h.browser()
	b.may(http.StatusOK, "POST", session+"/link", map[string]any{"token": token}, "Idempotency-Key", "one")
	b.may(http.StatusOK, "POST", session+"/password", map[string]any{"password": password}, "Idempotency-Key", "one")
	db, err := sql.Open("sqlite", filepath.Join(h.dir, "sigpost.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var kept int
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM idempotency").Scan(&kept); err != nil || kept != 0 {
		t.Errorf("%d requests are kept, %v", kept, err)
	}
	w := b.ask("POST", session+"/password", map[string]any{"password": password + "!", "current": password}, "Idempotency-Key", "one")
	if w.Code != http.StatusOK || len(w.Result().Cookies()) != 1 {
		t.Errorf("another password under the key: %d %s", w.Code, w.Body)
	}
}

func TestNamesThatLookLikeOthersAreRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, name := range []string{"ad\u00admin", "adm\u2066in", "adm\u200bin", "adm\u2060in", "a\u2028b", "a\u0085b", "a\u3164b", "a\u115fb", "a\U000e0061b", "a\ufe0fb", "\u00a0admin", "\u2800"} {
		w := h.send("POST", people, map[string]any{"name": name, "role": "viewer"})
		if w.Code != http.StatusUnprocessableEntity {
			t.Errorf("%+q: %d %s", name, w.Code, w.Body)
		}
	}
	for _, name := range []string{"Ana Ω", "zoë", "李小龍", "o'neill+1@example.com", "प्रिया"} {
		h.must(http.StatusCreated, "POST", people, map[string]any{"name": name, "role": "viewer"})
	}
}

// unread is a body that must not be read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestWhoMayNotIsRefusedBeforeHisBodyIsRead(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	b := h.signedIn("ana", "viewer")
	for _, path := range []string{people, tokens, "/api/v1/app", "/api/v1/environment/import", "/ingest/api/v1/source"} {
		r := httptest.NewRequest("POST", path, unread{t})
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Cookie", b.cookie)
		if w := record(h.server.API(), r); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "the role viewer may not do this") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
