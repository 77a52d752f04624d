package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Everything about SQL that only PostgreSQL does stands in this file: queries
// are written once, as SQLite takes them, and translated here.

// applicationName begins the name of each of our sessions, and tells them from others.
const applicationName = "sigpost"

// newSession is a name for all sessions of one process.
func newSession() string {
	var b [6]byte
	rand.Read(b[:])
	return applicationName + " " + hex.EncodeToString(b[:])
}

// sessionSettings are those of every connection. Each statement of ours finds its
// rows by key or index, so scans are off and plans are made with the arguments in
// hand: a fresh database has no statistics, and a plan made on empty tables would
// otherwise be kept. Explicit joins keep their order, as CROSS JOIN does on SQLite.
// Compiling costs more than any of these queries.
//
// The server gives a client up that is gone without a word, or silent within a
// transaction, about when others take its node for dead: what it had locked must not
// outlive that.
func sessionSettings() map[string]string {
	return map[string]string{
		"enable_mergejoin":                    "off",
		"enable_seqscan":                      "off",
		"jit":                                 "off",
		"join_collapse_limit":                 "1",
		"plan_cache_mode":                     "force_custom_plan",
		"work_mem":                            "16MB",
		"timezone":                            "UTC",
		"idle_in_transaction_session_timeout": "20s",
		"tcp_keepalives_idle":                 seconds(idle),
		"tcp_keepalives_interval":             seconds(between),
		"tcp_keepalives_count":                strconv.Itoa(tries),
		"tcp_user_timeout":                    strconv.FormatInt(unacknowledged.Milliseconds(), 10),
	}
}

// batchSettings are those of the connection that writes batches, before those of
// every connection. To plan its statements takes longer than to do them for a few events, so
// each is planned once. That is safe because they leave nothing to choose: rows are found
// by key, from a list of keys, and what is joined are lists of one batch, of which a
// nested loop would compare each with each.
func batchSettings() map[string]string {
	return map[string]string{"enable_nestloop": "off", "plan_cache_mode": "force_generic_plan"}
}

// sqlPlanEach ends batchSettings for the rest of a transaction.
const sqlPlanEach = "SELECT set_config('enable_nestloop', 'on', true), set_config('plan_cache_mode', 'force_custom_plan', true)"

// withoutSession makes a configuration for a pooler that gives a connection for one
// transaction: nothing may be set for a session, but what poolers set themselves, and nothing
// prepared, unless the URL says that the pooler does that.
func withoutSession(config *pgx.ConnConfig, url string) {
	config.RuntimeParams["timezone"] = "UTC"
	if !strings.Contains(url, "default_query_exec_mode=") {
		config.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
}

// settingsToGive are statements, for who may run them, that give a user the settings which
// cannot be asked for behind a pooler; empty when he has those that decide about plans.
func settingsToGive(ctx context.Context, db querier) (string, error) {
	settings := sessionSettings()
	delete(settings, "application_name")
	delete(settings, "timezone")
	var user, database string
	if err := db.QueryRowContext(ctx, "SELECT quote_ident(current_user), quote_ident(current_database())").Scan(&user, &database); err != nil {
		return "", err
	}
	lacks, text := false, ""
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		var has string
		if err := db.QueryRowContext(ctx, "SELECT coalesce(current_setting(?, true), '')", name).Scan(&has); err != nil {
			return "", err
		}
		lacks = lacks || has != settings[name] && strings.HasPrefix(name, "enable_")
		text += fmt.Sprintf("ALTER ROLE %s IN DATABASE %s SET %s = '%s'; ", user, database, name, settings[name])
	}
	if !lacks {
		return "", nil
	}
	return strings.TrimSpace(text), nil
}

// pooled says that a pooler refused what was asked for a session.
func pooled(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == codeProtocol && strings.Contains(e.Message, "startup parameter")
}

// tooMany says that there were too many connections already.
func tooMany(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == codeTooMany
}

// noListen says that the engine has no LISTEN.
func noListen(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == codeNoFeature || e.Code == codeSyntax)
}

// forUpdate keeps other nodes from a row that the transaction is about to change. SQLite
// has one writer.
const forUpdate = " /*pg FOR UPDATE */"

// translations keeps the PostgreSQL form of each text, for texts come again and
// again. Lists have many forms, by how many terms and keys are asked for, so it is
// emptied when it has grown.
type translations struct {
	mu    sync.RWMutex
	known map[string]string
}

const mostTranslations = 4096

func (t *translations) of(text string) string {
	t.mu.RLock()
	out, ok := t.known[text]
	t.mu.RUnlock()
	if ok {
		return out
	}
	out = translate(text)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil || len(t.known) >= mostTranslations {
		t.known = map[string]string{}
	}
	t.known[text] = out
	return out
}

// translate turns SQL as SQLite takes it into what PostgreSQL does:
//
//   - ? and ?1 become $1; what stands between quotes is left alone;
//   - a comment that begins with /*pg is opened: what stands in it is for
//     PostgreSQL only;
//   - hints for SQLite's planner go: CROSS before JOIN, and INDEXED BY with its name;
//   - a GLOB ? becomes glob(a, ?), which the schema defines;
//   - x'01' becomes a value of type bytea.
func translate(text string) string {
	t := translator{in: text}
	for t.at < len(t.in) {
		t.step()
	}
	return t.out.String()
}

type translator struct {
	in  string
	at  int
	out strings.Builder
	n   int // the highest parameter so far
}

func (t *translator) rest() string { return t.in[t.at:] }

func (t *translator) step() {
	rest := t.rest()
	switch {
	case rest[0] == '\'' || rest[0] == '"':
		t.copy(1 + end(rest[1:], rest[:1]))
	case rest[0] == '?':
		t.parameter()
	case strings.HasPrefix(rest, "/*pg"):
		inside := end(rest, "*/")
		t.in = t.in[:t.at] + strings.TrimSuffix(rest[len("/*pg"):inside], "*/") + rest[inside:]
	case strings.HasPrefix(rest, "CROSS JOIN "):
		t.at += len("CROSS ")
	case strings.HasPrefix(rest, "INDEXED BY "):
		name := end(rest[len("INDEXED BY "):], " ")
		t.at += len("INDEXED BY ") + name
	case strings.HasPrefix(rest, " GLOB ?"):
		t.glob()
	case strings.HasPrefix(rest, "x'"):
		digits := end(rest[2:], "'")
		t.out.WriteString(`'\x` + rest[2:2+digits] + "::bytea")
		t.at += 2 + digits
	default:
		t.copy(1)
	}
}

// end is where in text the first mark ends; its length when there is none.
func end(text, mark string) int {
	if i := strings.Index(text, mark); i >= 0 {
		return i + len(mark)
	}
	return len(text)
}

func (t *translator) copy(n int) {
	t.out.WriteString(t.in[t.at : t.at+n])
	t.at += n
}

// parameter counts as SQLite does: ? is one more than the highest before it.
func (t *translator) parameter() {
	t.at++
	from := t.at
	for t.at < len(t.in) && t.in[t.at] >= '0' && t.in[t.at] <= '9' {
		t.at++
	}
	n := t.n + 1
	if t.at > from {
		n, _ = strconv.Atoi(t.in[from:t.at]) // digits only
	}
	t.n = max(t.n, n)
	fmt.Fprintf(&t.out, "$%d", n)
}

// glob moves the column that stands before GLOB into a call.
func (t *translator) glob() {
	before := t.out.String()
	i := strings.LastIndexAny(before, " (") + 1
	t.out.Reset()
	t.out.WriteString(before[:i] + "glob(" + before[i:] + ", ")
	t.at += len(" GLOB ")
	t.parameter()
	t.out.WriteString(")")
}

// State codes of PostgreSQL (https://www.postgresql.org/docs/current/errcodes-appendix.html).
const (
	codeProtocol      = "08P01"
	codeTooMany       = "53300"
	codeNoFeature     = "0A000"
	codeSyntax        = "42601"
	codeUnique        = "23505"
	codeSerialization = "40001"
	codeDeadlock      = "40P01"
	codeLockTimeout   = "55P03"
)

// postgresTrouble says whether err lies with the connection or the server, so that
// trying the statement again by itself is no use.
func postgresTrouble(err error) bool {
	if errors.Is(err, errLost) {
		return true
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || len(e.Code) < 2 {
		return false
	}
	switch e.Code[:2] {
	case "08", "53", "57", "58", "XX": // connection, resources, operator, system, internal
		return true
	}
	return e.Code == "25006" // read only: a replica, or on its way to be one
}

// errLost is the error of a connection that ended while it was used: what was
// asked may have been done or not.
var errLost = errors.New("the connection to the database was lost")

// crossed says that another node did the same at the same time: asking again
// finds what it did.
func crossed(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == codeUnique || e.Code == codeSerialization || e.Code == codeDeadlock)
}

// inTheWay says that others had locked what a migration wanted to lock.
func inTheWay(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == codeDeadlock || e.Code == codeLockTimeout)
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }

// interval is a duration as PostgreSQL takes it.
func interval(d time.Duration) string {
	return fmt.Sprintf("interval '%d milliseconds'", d.Milliseconds())
}
