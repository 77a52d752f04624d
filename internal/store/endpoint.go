package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// mostEndpoints is how many endpoints an application may have: a message and its
// deliveries are one transaction.
const mostEndpoints = 500

// endpointSettings is the JSON in endpoints.settings: what is read whole and
// never searched.
type endpointSettings struct {
	EventTypes   []string            `json:"event_types,omitempty"`
	Channels     []string            `json:"channels,omitempty"`
	Throttle     int                 `json:"throttle,omitempty"`
	Timeout      time.Duration       `json:"timeout,omitempty"`
	Concurrency  int                 `json:"concurrency,omitempty"`
	Schedule     []time.Duration     `json:"schedule,omitempty"`
	Schedules    []hook.TypeSchedule `json:"schedules,omitempty"`
	Window       time.Duration       `json:"window,omitempty"`
	SuccessCodes []int               `json:"success_codes,omitempty"`
	SchemeName   string              `json:"scheme,omitempty"`
	Policy       string              `json:"policy,omitempty"`
	Order        string              `json:"order,omitempty"`
	ByOccurrence bool                `json:"by_occurrence,omitempty"`
	OrderWindow  time.Duration       `json:"order_window,omitempty"`
	LatestOnly   bool                `json:"latest_only,omitempty"`
	OnPoison     string              `json:"on_poison,omitempty"`
	PoisonAfter  int                 `json:"poison_after,omitempty"`
	OfSource     bool                `json:"of_source,omitempty"`
	Untrusted    bool                `json:"untrusted,omitempty"`
}

func encodeSettings(e *hook.Endpoint) (string, error) {
	raw, err := json.Marshal(endpointSettings{
		EventTypes: e.EventTypes, Channels: e.Channels, Throttle: e.Throttle, Timeout: e.Timeout, Concurrency: e.Concurrency,
		Schedule: e.Schedule, Schedules: e.Schedules, Window: e.Window, SuccessCodes: e.SuccessCodes, SchemeName: e.SchemeName, Policy: e.Policy, OfSource: e.OfSource, Untrusted: e.Untrusted,
		Order: e.Order.By, ByOccurrence: e.Order.ByOccurrence, OrderWindow: e.Order.Window, LatestOnly: e.Order.LatestOnly, OnPoison: string(e.Order.OnPoison), PoisonAfter: e.Order.PoisonAfter,
	})
	return string(raw), err
}

func decodeSettings(raw []byte, e *hook.Endpoint) error {
	var x endpointSettings
	if err := json.Unmarshal(raw, &x); err != nil {
		return fmt.Errorf("read settings of endpoint %d: %w", e.ID, err)
	}
	e.EventTypes, e.Channels, e.Throttle, e.Timeout, e.Concurrency = x.EventTypes, x.Channels, x.Throttle, x.Timeout, x.Concurrency
	e.Schedule, e.Window, e.SuccessCodes, e.SchemeName, e.Policy, e.OfSource = x.Schedule, x.Window, x.SuccessCodes, x.SchemeName, x.Policy, x.OfSource
	e.Untrusted, e.Schedules = x.Untrusted, x.Schedules
	e.Order = hook.Order{
		By: x.Order, ByOccurrence: x.ByOccurrence, Window: x.OrderWindow, LatestOnly: x.LatestOnly, OnPoison: hook.PoisonPolicy(x.OnPoison), PoisonAfter: x.PoisonAfter,
	}
	return nil
}

const endpointColumns = `id, org_id, app_id, coalesce(uid, ''), name, url, description, settings, headers, metadata, managed_by = 'file',
	state, reason, created_at, updated_at`

func (s *Store) scanEndpoint(row scanner) (hook.Endpoint, error) {
	var e hook.Endpoint
	var settings, headers, metadata []byte
	var created, updated int64
	err := row.Scan(&e.ID, &e.Org, &e.App, &e.UID, &e.Name, &e.URL, &e.Description, &settings, &headers, &metadata, &e.ManagedByFile,
		&e.State, &e.Reason, &created, &updated)
	if err != nil {
		return e, err
	}
	e.CreatedAt, e.UpdatedAt = fromMS(created), fromMS(updated)
	if err := decodeSettings(settings, &e); err != nil {
		return e, err
	}
	if e.Headers, err = s.openHeaders(headers); err != nil {
		return e, fmt.Errorf("headers of endpoint %d: %w", e.ID, err)
	}
	e.Metadata, err = decodeMap(metadata)
	return e, err
}

// Endpoints reads all endpoints, in the order in which they were made.
func (s *Store) Endpoints(ctx context.Context) ([]hook.Endpoint, error) {
	return readRows(ctx, s.read, s.scanEndpoint, "endpoints", "SELECT "+endpointColumns+" FROM endpoints ORDER BY id")
}

// EndpointsOf reads all endpoints of one application, in the order in which they
// were made.
func (s *Store) EndpointsOf(ctx context.Context, app hook.Key) ([]hook.Endpoint, error) {
	return readRows(ctx, s.read, s.scanEndpoint, "endpoints", "SELECT "+endpointColumns+" FROM endpoints WHERE app_id = ? ORDER BY id", app)
}

// ListEndpoints reads one page of an application's endpoints.
func (s *Store) ListEndpoints(ctx context.Context, app hook.Key, page hook.Page) ([]hook.Endpoint, error) {
	q, args := onPage("SELECT "+endpointColumns+" FROM endpoints WHERE app_id = ?", page, app)
	return readRows(ctx, s.read, s.scanEndpoint, "endpoints", q, args...)
}

// Endpoint reads an endpoint of an application; CodeNotFound when the
// application has none with this key.
func (s *Store) Endpoint(ctx context.Context, app, id hook.Key) (hook.Endpoint, error) {
	return s.endpoint(ctx, s.read, app, id, "")
}

// endpoint reads an endpoint with or without forUpdate.
func (s *Store) endpoint(ctx context.Context, db querier, app, id hook.Key, lock string) (hook.Endpoint, error) {
	row := db.QueryRowContext(ctx, "SELECT "+endpointColumns+" FROM endpoints WHERE id = ? AND app_id = ?"+lock, id, app)
	return readRow(row, s.scanEndpoint, "endpoint", s.missing("endpoint", hook.KindEndpoint, id))
}

// EndpointByUID reads the endpoint to which its owner gave this uid.
func (s *Store) EndpointByUID(ctx context.Context, app hook.Key, uid string) (hook.Endpoint, error) {
	row := s.read.QueryRowContext(ctx, "SELECT "+endpointColumns+" FROM endpoints WHERE app_id = ? AND uid = ?", app, uid)
	return readRow(row, s.scanEndpoint, "endpoint", hook.Errorf(hook.CodeNotFound, "there is no endpoint with the uid %q", uid))
}

// CreateEndpoint keeps an endpoint of e.Org and e.App with its secret, if that is
// not empty, and gives it back with its key and times. It is refused with
// CodeConflict when the uid is taken, with CodeInvalid when the application has
// 500 endpoints.
func (s *Store) CreateEndpoint(ctx context.Context, e hook.Endpoint, secret hook.Secret) (hook.Endpoint, error) {
	e.ManagedByFile = false
	row, err := s.endpointRow(&e)
	if err != nil {
		return e, fmt.Errorf("create endpoint: %w", err)
	}
	err = s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if err := s.roomForEndpoint(ctx, tx, &e); err != nil {
			return err
		}
		now := time.Now()
		e.ID, e.CreatedAt, e.UpdatedAt = s.writer.key(now, 1), inMS(now), inMS(now)
		const q = `INSERT INTO endpoints (id, org_id, app_id, name, managed_by, created_at, updated_at, uid, url, description, settings, headers, metadata, state, reason)
			VALUES (?, ?, ?, ?, 'api', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
		args := append([]any{e.ID, e.Org, e.App, e.Name, ms(now), ms(now)}, row...)
		if err := one(tx.ExecContext(ctx, q, args...)); err != nil {
			return err
		}
		if secret == "" {
			return nil
		}
		return s.addSecret(ctx, tx, e.Org, e.ID, secret, now)
	})
	if err != nil {
		return hook.Endpoint{}, fmt.Errorf("create endpoint: %w", err)
	}
	return e, nil
}

func (s *Store) roomForEndpoint(ctx context.Context, tx *sql.Conn, e *hook.Endpoint) error {
	if _, err := s.application(ctx, tx, e.Org, e.App, forUpdate); err != nil {
		return err
	}
	if err := uidFree(ctx, tx, "endpoints", "app_id", e.App, e.UID, 0); err != nil {
		return err
	}
	var n int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM endpoints WHERE app_id = ?", e.App).Scan(&n); err != nil {
		return err
	}
	if n >= mostEndpoints {
		return hook.Errorf(hook.CodeInvalid, "the application has %d endpoints, the most there may be; delete one, or use another application", n)
	}
	return nil
}

// endpointRow is what may change of an endpoint, in the order: uid, url,
// description, settings, headers, metadata, state, reason.
func (s *Store) endpointRow(e *hook.Endpoint) ([]any, error) {
	settings, err := encodeSettings(e)
	if err != nil {
		return nil, err
	}
	headers, err := s.sealHeaders(e.Headers)
	if err != nil {
		return nil, err
	}
	metadata, err := encodeMap(e.Metadata)
	if err != nil {
		return nil, err
	}
	return []any{text(e.UID), e.URL, e.Description, settings, headers, metadata, int(e.State), e.Reason}, nil
}

// UpdateEndpoint makes the endpoint e.ID of e.App what e says, and changes its secrets
// with it; its organization, name and creation stay. CodeStale when it was changed
// since e was read. Those of the configuration file are refused with CodeConflict.
func (s *Store) UpdateEndpoint(ctx context.Context, e hook.Endpoint, secrets hook.SecretChange) (hook.Endpoint, error) {
	row, err := s.endpointRow(&e)
	if err != nil {
		return e, fmt.Errorf("update endpoint: %w", err)
	}
	made := e
	err = s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		old, err := s.ownEndpoint(ctx, tx, e.App, e.ID)
		if err != nil {
			return err
		}
		if err := notStale("endpoint", old.UpdatedAt, e.UpdatedAt); err != nil {
			return err
		}
		if err := uidFree(ctx, tx, "endpoints", "app_id", e.App, e.UID, e.ID); err != nil {
			return err
		}
		if err := s.changeSecrets(ctx, tx, old.Org, e.ID, &secrets); err != nil {
			return err
		}
		made.Org, made.Name, made.ManagedByFile, made.CreatedAt, made.UpdatedAt = old.Org, old.Name, false, old.CreatedAt, changedAt(old.UpdatedAt)
		const q = `UPDATE endpoints SET updated_at = ?, uid = ?, url = ?, description = ?, settings = ?, headers = ?, metadata = ?, state = ?, reason = ? WHERE id = ?`
		args := append([]any{ms(made.UpdatedAt)}, row...)
		if err := one(tx.ExecContext(ctx, q, append(args, e.ID)...)); err != nil {
			return err
		}
		return forgetLatest(ctx, tx, &e)
	})
	if err != nil {
		return hook.Endpoint{}, fmt.Errorf("update endpoint: %w", err)
	}
	return made, nil
}

// ownEndpoint reads an endpoint that the API may change and is about to.
func (s *Store) ownEndpoint(ctx context.Context, tx *sql.Conn, app, id hook.Key) (hook.Endpoint, error) {
	e, err := s.endpoint(ctx, tx, app, id, forUpdate)
	if err == nil && e.ManagedByFile {
		err = hook.Errorf(hook.CodeConflict, "endpoint %s (%s) is managed by the configuration file; change it there", s.ids.Public(hook.KindEndpoint, id), e.Name)
	}
	return e, err
}

// DeleteEndpoint deletes an endpoint and its secrets at once; what it still had
// to get is canceled after that, in small steps. Its deliveries and attempts stay
// with their messages.
func (s *Store) DeleteEndpoint(ctx context.Context, app, id hook.Key) error {
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if _, err := s.ownEndpoint(ctx, tx, app, id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM health WHERE endpoint_id = ?", id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM secrets WHERE owner_id = ?", id); err != nil {
			return err
		}
		return one(tx.ExecContext(ctx, "DELETE FROM endpoints WHERE id = ?", id))
	})
	if err != nil {
		return fmt.Errorf("delete endpoint: %w", err)
	}
	_, err = s.cancelFor(ctx, id)
	return err
}

// cancelFor cancels what an endpoint still had to get, in small steps: first what
// waits in lanes, so that nothing of it gets its turn by that.
func (s *Store) cancelFor(ctx context.Context, endpoint hook.Key) (total int64, err error) {
	for _, which := range []string{
		"SELECT id FROM turns WHERE endpoint_id = ? LIMIT ?",
		"SELECT id FROM deliveries WHERE state = 1 AND endpoint_id = ? LIMIT ?",
		"SELECT id FROM deliveries WHERE state = 5 AND endpoint_id = ? LIMIT ?",
	} {
		for n := stateStep; n == stateStep; {
			if n, err = s.cancelSome(ctx, which, endpoint); err != nil {
				return total, fmt.Errorf("cancel deliveries: %w", err)
			}
			total += int64(n)
		}
	}
	if _, err := s.changeState(ctx, "DELETE FROM latest WHERE endpoint_id = ?", endpoint); err != nil {
		return total, fmt.Errorf("cancel deliveries: %w", err)
	}
	return total, nil
}

func (s *Store) cancelSome(ctx context.Context, which string, endpoint hook.Key) (n int, err error) {
	err = s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		ids, err := queryKeys(ctx, tx, which, endpoint, stateStep)
		if n = len(ids); err != nil || n == 0 {
			return err
		}
		these, args := anyOf("id", n), anys(ids)
		ordered, err := stillOpen(ctx, tx, these, args...)
		if err != nil {
			return err
		}
		err = s.leaving(ctx, tx, ordered, func() error {
			_, err := tx.ExecContext(ctx, "UPDATE deliveries SET state = 4, holder = 0 WHERE state IN (1, 5, 6) AND "+these, args...)
			return err
		})
		if err != nil || len(ordered) == n {
			return err
		}
		// A turn without a delivery that waits was left by an older version.
		_, err = tx.ExecContext(ctx, "DELETE FROM turns WHERE endpoint_id = ? AND "+these, append([]any{endpoint}, args...)...)
		return err
	})
	return n, err
}

// CancelOrphans cancels what endpoints still had to get that are gone: a stop
// may have come between the deletion and its consequences, and a message may
// have been on its way. It says how many deliveries there were.
func (s *Store) CancelOrphans(ctx context.Context) (int64, error) {
	const q = `SELECT DISTINCT endpoint_id FROM deliveries WHERE state = 1 AND endpoint_id NOT IN (SELECT id FROM endpoints)
		UNION SELECT DISTINCT endpoint_id FROM deliveries WHERE state = 5 AND endpoint_id NOT IN (SELECT id FROM endpoints)`
	gone, err := queryKeys(unhurried(ctx), s.read, q) // it reads the keys of all that is pending
	if err != nil {
		return 0, fmt.Errorf("read deliveries of deleted endpoints: %w", err)
	}
	var total int64
	for _, k := range gone {
		n, err := s.cancelFor(ctx, k)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}
