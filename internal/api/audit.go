package api

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sigpost/sigpost/internal/hook"
)

type auditStore interface {
	AddAudit(ctx context.Context, a hook.Audit) error
	ListAudit(ctx context.Context, q hook.AuditQuery) ([]hook.Audit, error)
}

// AuditIn chooses entries of the audit log.
type AuditIn struct {
	Actor  string    `query:"actor" maxLength:"64" doc:"Only what this user or token did: its id"`
	Action string    `query:"action" maxLength:"64" doc:"Only this operation, for example endpoint.patch"`
	Object string    `query:"object" maxLength:"256" doc:"Only what was done to this: its id"`
	Since  time.Time `query:"since" doc:"Not before"`
	Until  time.Time `query:"until" doc:"Before"`
}

// AuditOut is one entry.
type AuditOut struct {
	ID      string        `json:"id"`
	At      time.Time     `json:"at"`
	Actor   ActorOut      `json:"actor"`
	Action  string        `json:"action" doc:"The operation, as this document names it, without its v1."`
	Object  NamedOut      `json:"object"`
	Parent  *NamedOut     `json:"parent,omitempty" doc:"The application or source that it is in"`
	Org     string        `json:"org"`
	Remote  string        `json:"remote" doc:"The address that the request came from; empty for the command line"`
	Changes []hook.Change `json:"changes" doc:"The fields that the request gave; their values only where they cannot be secret"`
}

// ActorOut is who did it.
type ActorOut struct {
	Kind string `json:"kind" enum:"user,token,link,operator" doc:"link: a person, while signing in with one; operator: the command line"`
	ID   string `json:"id"`
	Name string `json:"name"`
}

// NamedOut is a thing of the API.
type NamedOut struct {
	Kind string `json:"kind"`
	ID   string `json:"id" doc:"As the request named it, or the answer"`
	Name string `json:"name"`
}

func registerAudit(a *API) {
	const all = "/api/v1/audit"
	register(a, operation{id: "audit.list", method: http.MethodGet, path: all, summary: "Who did what, the newest first", access: accessAdmin}, a.listAudit)
	register(a, operation{id: "audit.export", method: http.MethodGet, path: all + "/export", summary: "All of the audit log as one file, the oldest first", access: accessAdmin, files: []string{"application/x-ndjson", "text/csv"}}, a.exportAudit)
}

func (in *AuditIn) query(org hook.Key) hook.AuditQuery {
	return hook.AuditQuery{Org: org, Actor: in.Actor, Action: in.Action, Object: in.Object, Range: hook.Range{Since: in.Since, Until: in.Until}}
}

func (a *API) auditOut(e *hook.Audit) AuditOut {
	out := AuditOut{
		ID: a.IDs.Public(hook.KindAudit, e.ID), At: when(e.At()), Actor: ActorOut{string(e.Actor.Kind), e.Actor.ID, e.Actor.Name}, Action: e.Action,
		Object: NamedOut(e.Object), Org: a.IDs.Public(hook.KindOrganization, e.Org), Remote: e.Remote, Changes: e.Changes,
	}
	if e.Parent != (hook.Named{}) {
		out.Parent = pointer(NamedOut(e.Parent))
	}
	if out.Changes == nil {
		out.Changes = []hook.Change{}
	}
	return out
}

func (a *API) listAudit(ctx context.Context, in *struct {
	ListIn
	AuditIn
}) (*Body[ListOut[AuditOut]], error) {
	p, back, err := a.page(in.ListIn, hook.KindAudit, false)
	if err != nil {
		return nil, err
	}
	q := in.query(caller(ctx).Org)
	q.Page = p
	q.Page.Limit++
	rows, err := a.Store.ListAudit(ctx, q)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, p.Limit, func(e *hook.Audit) hook.Key { return e.ID })
	out, keys := make([]AuditOut, len(rows)), make([]hook.Key, len(rows))
	for i := range rows {
		out[i], keys[i] = a.auditOut(&rows[i]), rows[i].ID
	}
	return listOut(a, hook.KindAudit, out, keys, next, in.ListIn, back), nil
}

const (
	exportPage = 500
	exportTime = 30 * time.Second // for each page to be taken
)

// exportAudit writes page after page. What cannot be read cuts the connection, so that
// nobody takes half of it for the whole.
func (a *API) exportAudit(ctx context.Context, in *struct {
	AuditIn
	Format string `query:"format" enum:"ndjson,csv" default:"ndjson"`
}) (*huma.StreamResponse, error) {
	q := in.query(caller(ctx).Org)
	q.Page = hook.Page{Ascending: true, Limit: exportPage}
	kind, name := "application/x-ndjson", "audit.ndjson"
	if in.Format == "csv" {
		kind, name = "text/csv; charset=utf-8", "audit.csv"
	}
	return &huma.StreamResponse{Body: func(h huma.Context) {
		h.SetHeader("Content-Type", kind)
		h.SetHeader("Content-Disposition", `attachment; filename="`+name+`"`)
		if err := a.writeAudit(ctx, h.BodyWriter(), q, in.Format == "csv"); err != nil {
			a.Log.ErrorContext(ctx, "export of the audit log failed", "error", err)
			panic(http.ErrAbortHandler)
		}
	}}, nil
}

func (a *API) writeAudit(ctx context.Context, w io.Writer, q hook.AuditQuery, asCSV bool) error {
	lines, table := json.NewEncoder(w), csv.NewWriter(w)
	lines.SetEscapeHTML(false)
	if asCSV {
		if err := table.Write([]string{"id", "at", "actorKind", "actorId", "actorName", "action", "objectKind", "objectId", "objectName", "parentKind", "parentId", "remote", "changes"}); err != nil {
			return err
		}
	}
	for {
		if rw, ok := w.(http.ResponseWriter); ok {
			_ = http.NewResponseController(rw).SetWriteDeadline(time.Now().Add(exportTime)) // not every writer has one
		}
		rows, err := a.Store.ListAudit(ctx, q)
		if err != nil {
			return err
		}
		for i := range rows {
			out := a.auditOut(&rows[i])
			if asCSV {
				err = table.Write(auditRow(&out))
			} else {
				err = lines.Encode(out)
			}
			if err != nil {
				return err
			}
		}
		table.Flush()
		if err := table.Error(); err != nil || len(rows) < q.Page.Limit {
			return err
		}
		q.Page.After = rows[len(rows)-1].ID
	}
}

func auditRow(e *AuditOut) []string {
	var parent NamedOut
	if e.Parent != nil {
		parent = *e.Parent
	}
	changes, _ := json.Marshal(e.Changes) // fields and harmless values: they have a JSON form
	row := []string{
		e.ID, e.At.Format(time.RFC3339Nano), e.Actor.Kind, e.Actor.ID, e.Actor.Name, e.Action, e.Object.Kind, e.Object.ID, e.Object.Name,
		parent.Kind, parent.ID, e.Remote, string(changes),
	}
	for i, text := range row {
		row[i] = inert(text)
	}
	return row
}

// formula is where a cell could begin with one. Spreadsheets that part lines at semicolons or tabs take
// what stands behind one for a cell, and wide signs for the narrow ones.
var formula = regexp.MustCompile(`(^ *|[;\t\r\n] *)([=+\-@＝＋－＠])`)

// inert keeps a spreadsheet from taking a name for a formula.
func inert(text string) string {
	return formula.ReplaceAllString(text, "$1'$2")
}
