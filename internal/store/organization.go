package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

const orgColumns = "id, name, coalesce(external_id, ''), settings, created_at"

func scanOrg(row scanner) (hook.Organization, error) {
	var o hook.Organization
	var settings []byte
	var created int64
	if err := row.Scan(&o.ID, &o.Name, &o.External, &settings, &created); err != nil {
		return o, err
	}
	o.CreatedAt = fromMS(created)
	if err := json.Unmarshal(settings, &o.Settings); err != nil {
		return o, fmt.Errorf("read settings of organization %d: %w", o.ID, err)
	}
	return o, nil
}

// Organization reads an organization; CodeNotFound when there is none.
func (s *Store) Organization(ctx context.Context, id hook.Key) (hook.Organization, error) {
	return s.organization(ctx, s.read, id, "")
}

// organization reads an organization with or without forUpdate.
func (s *Store) organization(ctx context.Context, db querier, id hook.Key, lock string) (hook.Organization, error) {
	row := db.QueryRowContext(ctx, "SELECT "+orgColumns+" FROM organizations WHERE id = ?"+lock, id)
	return readRow(row, scanOrg, "organization", s.missing("organization", hook.KindOrganization, id))
}

// Organizations reads all organizations, in the order in which they were made.
func (s *Store) Organizations(ctx context.Context) ([]hook.Organization, error) {
	return readRows(ctx, s.read, scanOrg, "organizations", "SELECT "+orgColumns+" FROM organizations ORDER BY id")
}

// CreateOrganization makes an organization. Names need not differ.
func (s *Store) CreateOrganization(ctx context.Context, name string) (hook.Organization, error) {
	var o hook.Organization
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) (err error) {
		o, err = s.addOrg(ctx, tx, hook.Organization{Name: name})
		return err
	})
	if err != nil {
		return o, fmt.Errorf("create organization: %w", err)
	}
	return o, nil
}

func (s *Store) addOrg(ctx context.Context, tx *sql.Conn, o hook.Organization) (hook.Organization, error) {
	now := time.Now()
	o.ID, o.CreatedAt = s.writer.key(now, 1), inMS(now)
	return o, one(tx.ExecContext(ctx, "INSERT INTO organizations (id, name, external_id, created_at) VALUES (?, ?, ?, ?)", o.ID, o.Name, text(o.External), ms(now)))
}

// OrganizationByExternal reads the organization for which its owner's own tokens
// use this id, and makes it on the first use.
func (s *Store) OrganizationByExternal(ctx context.Context, external string) (hook.Organization, error) {
	if external == "" {
		return hook.Organization{}, hook.Errorf(hook.CodeInvalid, "the id of the organization is empty; name one")
	}
	o, err := organizationByExternal(ctx, s.read, external)
	if hook.CodeOf(err) != hook.CodeNotFound {
		return o, err
	}
	err = s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		o, err = organizationByExternal(ctx, tx, external) // it may have been made meanwhile
		if hook.CodeOf(err) == hook.CodeNotFound {
			o, err = s.addOrg(ctx, tx, hook.Organization{Name: external, External: external})
		}
		return err
	})
	if err != nil {
		return hook.Organization{}, fmt.Errorf("make organization: %w", err)
	}
	return o, nil
}

func organizationByExternal(ctx context.Context, db querier, external string) (hook.Organization, error) {
	row := db.QueryRowContext(ctx, "SELECT "+orgColumns+" FROM organizations WHERE external_id = ?", external)
	return readRow(row, scanOrg, "organization", hook.Errorf(hook.CodeNotFound, "there is no organization %q", external))
}

// SetOrgSettings makes the settings of an organization, which were was when they were
// read, what settings says. CodeStale when they are others by now.
func (s *Store) SetOrgSettings(ctx context.Context, id hook.Key, was, settings hook.OrgSettings) error {
	raw, err := json.Marshal(settings)
	if err != nil {
		return fmt.Errorf("set organization: %w", err)
	}
	err = s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		o, err := s.organization(ctx, tx, id, forUpdate)
		if err != nil {
			return err
		}
		if o.Settings != was {
			return hook.Errorf(hook.CodeStale, "the settings were changed by others in the meantime; read them again")
		}
		return one(tx.ExecContext(ctx, "UPDATE organizations SET settings = ? WHERE id = ?", string(raw), id))
	})
	if err != nil {
		return fmt.Errorf("set organization: %w", err)
	}
	return nil
}
