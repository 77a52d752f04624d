package store

import (
	"context"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// claimTime is how long who claimed an alert may take to tell it. After that it
// may be claimed again: its process may have ended.
const claimTime = time.Minute

// ClaimAlert says whether something is to be told now, and by the caller: whoever
// asks next is refused until the mark has risen by the claim's step, or until a
// minute has passed and AlertTold was not called. Of those who ask at once, on
// whichever node, one gets it.
func (s *Store) ClaimAlert(ctx context.Context, c hook.AlertClaim, now time.Time) (bool, error) {
	const q = `INSERT INTO alerts (about_id, kind, org_id, mark, at, told) VALUES (?, ?, ?, ?, ?, 0)
		ON CONFLICT (about_id, kind) DO UPDATE SET mark = excluded.mark, at = excluded.at, told = 0
		WHERE excluded.mark >= alerts.mark + ? OR alerts.told = 0 AND excluded.mark >= alerts.mark AND alerts.at <= ?`
	n, err := s.changeState(ctx, q, c.About, string(c.Kind), c.Org, c.Mark, ms(now), max(1, c.Step), ms(now.Add(-claimTime)))
	if err != nil {
		return false, fmt.Errorf("claim alert: %w", err)
	}
	return n == 1, nil
}

// AlertTold notes that what was claimed was told. It changes nothing when it was
// forgotten or claimed anew meanwhile.
func (s *Store) AlertTold(ctx context.Context, c hook.AlertClaim) error {
	_, err := s.changeState(ctx, "UPDATE alerts SET told = 1 WHERE about_id = ? AND kind = ? AND mark = ?", c.About, string(c.Kind), c.Mark)
	if err != nil {
		return fmt.Errorf("note alert: %w", err)
	}
	return nil
}

// ForgetAlert lets something be told again from the beginning.
func (s *Store) ForgetAlert(ctx context.Context, about hook.Key, kind hook.AlertKind) error {
	_, err := s.changeState(ctx, "DELETE FROM alerts WHERE about_id = ? AND kind = ?", about, string(kind))
	if err != nil {
		return fmt.Errorf("forget alert: %w", err)
	}
	return nil
}

// ForgetAlerts drops what is known of endpoints and sources that are gone, and
// that an endpoint was disabled which is not any more. It says how much that was.
func (s *Store) ForgetAlerts(ctx context.Context) (int64, error) {
	const q = `DELETE FROM alerts WHERE kind = ? AND about_id NOT IN (SELECT id FROM endpoints WHERE state = 2)
		OR about_id NOT IN (SELECT id FROM endpoints UNION ALL SELECT id FROM sources)`
	n, err := s.changeState(ctx, q, string(hook.AlertEndpointDisabled))
	if err != nil {
		return 0, fmt.Errorf("forget alerts: %w", err)
	}
	return n, nil
}

// DisabledUntold are endpoints that are disabled and of which nobody was told so,
// up to a limit. Those of the configuration file are left out: who wrote it knows.
func (s *Store) DisabledUntold(ctx context.Context, now time.Time, limit int) ([]hook.Endpoint, error) {
	const q = "SELECT " + endpointColumns + ` FROM endpoints WHERE state = 2 AND managed_by <> 'file' AND NOT EXISTS
		(SELECT 1 FROM alerts a WHERE a.about_id = endpoints.id AND a.kind = ? AND (a.told = 1 OR a.at > ?)) ORDER BY id LIMIT ?`
	return readRows(ctx, s.read, s.scanEndpoint, "endpoints", q, string(hook.AlertEndpointDisabled), ms(now.Add(-claimTime)), limit)
}
