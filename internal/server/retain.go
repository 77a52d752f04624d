package server

import (
	"context"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// retain deletes what is older than it is to be kept, application by application, and gives
// the space back.
func (s *Server) retain(ctx context.Context) error {
	now := time.Now()
	apps, err := s.agesOf(ctx, now)
	if err != nil {
		return err
	}
	floor := oldest(apps)
	days, err := s.store.DropBefore(ctx, floor)
	if err != nil { // another time; what is younger can go all the same
		s.o.Log.Warn("old days not dropped", "error", err)
	}
	var total hook.Retained
	for _, a := range apps {
		n, err := s.store.Retain(ctx, a.org, a.app, s.beside(a.cutoffs, floor))
		total.Messages, total.Payloads, total.Attempts = total.Messages+n.Messages, total.Payloads+n.Payloads, total.Attempts+n.Attempts
		if err != nil {
			return err
		}
	}
	bytes, err := s.store.Reclaim(ctx)
	if err != nil {
		return err
	}
	if total != (hook.Retained{}) || days > 0 || bytes > 0 {
		s.o.Log.Info("old data deleted", "messages", total.Messages, "payloads", total.Payloads, "attempts", total.Attempts, "days", days, "bytes_freed", bytes)
	}
	return nil
}

// beside is what is to be deleted row by row beside the days that are dropped.
func (s *Server) beside(c hook.Cutoffs, floor hook.Key) hook.Cutoffs {
	if !s.shared() {
		return c
	}
	for _, k := range []*hook.Key{&c.Payloads, &c.Attempts, &c.Messages} {
		if *k == floor {
			*k = 0
		}
	}
	return c
}

// aged is an application with what of it is too old.
type aged struct {
	org, app hook.Key
	cutoffs  hook.Cutoffs
}

// agesOf says of every application what is too old: as its organization decides, or
// else the configuration, or else the default.
func (s *Server) agesOf(ctx context.Context, now time.Time) (list []aged, err error) {
	orgs, err := s.store.Organizations(ctx)
	if err != nil {
		return nil, err
	}
	configured := s.config.Load().Retention
	for _, o := range orgs {
		ofApp := o.Settings.Retention.Or(configured.Applications.Retention()).Or(hook.DefaultRetention()).At(now)
		ofSource := o.Settings.SourceRetention.Or(configured.Sources.Retention()).Or(hook.DefaultSourceRetention()).At(now)
		for kind, c := range map[hook.AppKind]hook.Cutoffs{hook.AppCustomer: ofApp, hook.AppOperational: ofApp, hook.AppOfSource: ofSource} {
			for page := (hook.Page{Ascending: true, Limit: appsAtOnce}); ; {
				apps, err := s.store.Applications(ctx, o.ID, page, hook.AppFilter{Kind: kind})
				if err != nil {
					return nil, err
				}
				for _, a := range apps {
					list = append(list, aged{o.ID, a.ID, c})
				}
				if len(apps) < appsAtOnce {
					break
				}
				page.After = apps[len(apps)-1].ID
			}
		}
	}
	return list, nil
}

// retainAudit deletes what of the audit log is older than it is to be kept.
func (s *Server) retainAudit(ctx context.Context) error {
	orgs, err := s.store.Organizations(ctx)
	if err != nil {
		return err
	}
	for _, o := range orgs {
		age := o.Settings.AuditRetention
		if age == 0 {
			age = hook.DefaultAuditRetention
		}
		if _, err := s.store.ForgetAudit(ctx, o.ID, age.Before(time.Now())); err != nil {
			return err
		}
	}
	return nil
}

const appsAtOnce = 500

// oldest is the key before which nothing of any application is kept; 0 when
// something is kept for ever.
func oldest(apps []aged) (floor hook.Key) {
	for i, a := range apps {
		if i == 0 || a.cutoffs.Messages < floor {
			floor = a.cutoffs.Messages
		}
	}
	return floor
}
