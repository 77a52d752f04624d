package api_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// whole looks at everything that a run left: what is listed can be read, alone and
// with all that belongs to it, and no refused request made anything. It holds
// after a restart as well.
func (f *fuzzRun) whole() {
	f.h.t.Helper()
	before := f.everything()
	if len(before) < 10 {
		f.h.t.Errorf("only %d things are left: %q", len(before), before)
	}
	f.h.stop()
	f.h.start()
	if after := f.everything(); !slices.Equal(before, after) {
		diff := cmp.Diff(before, after)
		f.h.t.Errorf("after a restart there are %d things, before there were %d:\n%.2000s", len(after), len(before), diff)
	}
}

// everything reads all that the organization has, and returns its ids.
func (f *fuzzRun) everything() (ids []string) {
	f.read("/api/v1/health", http.StatusNoContent)
	for _, app := range f.list("/api/v1/app") {
		at := "/api/v1/app/" + app
		ids = append(append(ids, app), f.endpoints(at+"/endpoint")...)
		f.read(at, http.StatusOK)
		for _, msg := range f.list(at + "/msg") {
			ids = append(ids, msg)
			for _, path := range []string{"", "/delivery", "/endpoint"} {
				f.read(at+"/msg/"+msg+path, http.StatusOK)
			}
			f.read(at+"/attempt/msg/"+msg, http.StatusOK)
		}
	}
	for _, source := range f.list(sources) {
		f.read(sources+"/"+source, http.StatusOK)
		ids = append(append(ids, source), f.endpoints(sources+"/"+source+"/endpoint")...)
	}
	ids = append(ids, f.endpoints("/api/v1/operational-webhook/endpoint")...)
	for _, task := range f.list("/api/v1/background-task") {
		f.read("/api/v1/background-task/"+task, http.StatusOK)
		ids = append(ids, task)
	}
	for _, kind := range f.list("/api/v1/event-type") {
		f.read("/api/v1/event-type/"+kind, http.StatusOK)
		ids = append(ids, kind)
	}
	f.list("/api/v1/auth/token") // some end in the meantime
	return ids
}

// endpoints reads the endpoints of a list with their secrets and headers.
func (f *fuzzRun) endpoints(path string) []string {
	ids := f.list(path)
	for _, id := range ids {
		if !f.made[id] {
			f.h.t.Errorf("%s/%s: is there although no answer told of it", path, id)
		}
		for _, part := range []string{"", "/secret", "/headers"} {
			f.read(path+"/"+id+part, http.StatusOK)
		}
		if strings.HasSuffix(path, "/endpoint") && strings.HasPrefix(path, "/api/v1/app/") {
			f.read(path+"/"+id+"/stats", http.StatusOK)
			f.read(path+"/"+id+"/msg", http.StatusOK)
		}
	}
	return ids
}

// list are the ids (or names) of all pages of a list.
func (f *fuzzRun) list(path string) (ids []string) {
	for at := path + "?limit=250"; ; {
		page, _ := f.read(at, http.StatusOK).(map[string]any)
		data, _ := page["data"].([]any)
		for _, row := range data {
			id, ok := row.(map[string]any)["id"].(string)
			if !ok {
				id, _ = row.(map[string]any)["name"].(string)
			}
			if slices.Contains(ids, id) {
				f.h.t.Fatalf("%s: %s is listed twice", path, id)
			}
			ids = append(ids, id)
		}
		if done, ok := page["done"].(bool); done || !ok {
			return ids
		}
		at = path + "?limit=250&iterator=" + url.QueryEscape(page["iterator"].(string))
	}
}

// read asks for something that has to be there.
func (f *fuzzRun) read(path string, status int) any {
	f.h.t.Helper()
	w := f.h.send("GET", path, nil)
	plain, _, _ := strings.Cut(path, "?")
	r := &fuzzRequest{method: "GET", path: plain}
	v, wrong := f.judge(f.gen.doc.match("GET", plain), r, w)
	if w.Code != status || wrong != "" {
		f.h.t.Errorf("GET %s: %d %s, %d is right\n%.600s", path, w.Code, wrong, status, w.Body)
	}
	return v
}
