package store

import (
	"context"
	"fmt"

	"github.com/sigpost/sigpost/internal/hook"
)

// LaneFaultsForTest says in words where the rows of lanes are not as they must be: a lane has
// a row exactly as long as one of its deliveries is not over; one of these is pending or held
// and is its head, and all others wait and have a turn each.
func LaneFaultsForTest(s *Store) (faults []string, err error) {
	ctx := context.Background()
	type open struct {
		laned
		state hook.DeliveryState
	}
	deliveries, err := readRows(ctx, s.read, func(row scanner) (o open, err error) {
		err = row.Scan(&o.id, &o.org, &o.endpoint, &o.number, &o.state)
		return o, err
	}, "deliveries", "SELECT id, org_id, endpoint_id, lane, state FROM deliveries WHERE state + 0 IN (1, 5, 6)")
	if err != nil {
		return nil, err
	}
	laned := func(query string) (map[hook.Key]laneKey, error) {
		of := map[hook.Key]laneKey{}
		rows, err := s.read.QueryContext(ctx, query)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		for rows.Next() {
			var id hook.Key
			var k laneKey
			if err := rows.Scan(&id, &k.endpoint, &k.number); err != nil {
				return nil, err
			}
			of[id] = k
		}
		return of, rows.Err()
	}
	heads, err := laned("SELECT head, endpoint_id, lane FROM lanes")
	if err != nil {
		return nil, err
	}
	turns, err := laned("SELECT id, endpoint_id, lane FROM turns")
	if err != nil {
		return nil, err
	}
	for _, d := range deliveries {
		of := heads
		switch {
		case d.number == 0 && d.state == hook.Waiting:
			faults = append(faults, fmt.Sprintf("delivery %d waits in no lane", d.id))
		case d.number == 0:
			continue
		case d.state == hook.Waiting:
			of = turns
		}
		if of[d.id] != d.laneKey {
			faults = append(faults, fmt.Sprintf("delivery %d in state %d of lane %v is in lane %v", d.id, d.state, d.laneKey, of[d.id]))
		}
		delete(of, d.id)
	}
	for _, left := range []map[hook.Key]laneKey{heads, turns} {
		for id, k := range left {
			faults = append(faults, fmt.Sprintf("delivery %d, which is over, is in lane %v", id, k))
		}
	}
	return faults, nil
}
