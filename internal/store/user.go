package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

const userColumns = "id, org_id, name, role, password, disabled, created_at, updated_at, seen_at"

func scanUser(row scanner) (u hook.User, err error) {
	var disabled int
	var password string
	var created, updated, seen int64
	err = row.Scan(&u.ID, &u.Org, &u.Name, &u.Role, &password, &disabled, &created, &updated, &seen)
	u.Password, u.Disabled = hook.Secret(password), disabled != 0
	u.CreatedAt, u.UpdatedAt, u.SeenAt = fromMS(created), fromMS(updated), fromMS(seen)
	return u, err
}

// folded is the form of a name under which it is unique.
func folded(name string) string { return strings.ToLower(clean(strings.TrimSpace(name))) }

// CreateUser keeps a person of u.Org, and the link with which he signs in for the
// first time. CodeConflict when the name is taken, whoever has it.
func (s *Store) CreateUser(ctx context.Context, u hook.User, link hook.Link) (hook.User, error) {
	u.Name = clean(strings.TrimSpace(u.Name))
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if _, err := s.organization(ctx, tx, u.Org, ""); err != nil {
			return err
		}
		taken, err := exists(ctx, tx, "SELECT 1 FROM users WHERE folded = ?", folded(u.Name))
		if err != nil {
			return err
		}
		if taken {
			return hook.Errorf(hook.CodeConflict, "the name %q is taken; an e-mail address is a name that nobody else has", u.Name)
		}
		now := time.Now()
		u.ID, u.CreatedAt, u.UpdatedAt, u.SeenAt = s.writer.key(now, 1), inMS(now), inMS(now), time.Time{}
		const q = "INSERT INTO users (id, org_id, name, folded, role, password, disabled, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
		if err := one(tx.ExecContext(ctx, q, u.ID, u.Org, u.Name, folded(u.Name), string(u.Role), u.Password.Reveal(), number01(u.Disabled), ms(now), ms(now))); err != nil {
			return err
		}
		return s.addLink(ctx, tx, &u, link)
	})
	if err != nil {
		return hook.User{}, fmt.Errorf("create user: %w", err)
	}
	return u, nil
}

// number01 is how a table keeps yes and no.
func number01(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// addLink makes a link the only one of its user.
func (s *Store) addLink(ctx context.Context, tx *sql.Conn, u *hook.User, link hook.Link) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM sign_in_links WHERE user_id = ?", u.ID); err != nil {
		return err
	}
	const q = "INSERT INTO sign_in_links (id, org_id, user_id, hash, expires_at) VALUES (?, ?, ?, ?, ?)"
	return one(tx.ExecContext(ctx, q, s.writer.key(time.Now(), 1), u.Org, u.ID, link.Hash[:], ms(link.ExpiresAt)))
}

// User reads a person of an organization.
func (s *Store) User(ctx context.Context, org, id hook.Key) (hook.User, error) {
	return s.user(ctx, s.read, org, id, "")
}

func (s *Store) user(ctx context.Context, db querier, org, id hook.Key, lock string) (hook.User, error) {
	row := db.QueryRowContext(ctx, "SELECT "+userColumns+" FROM users WHERE id = ? AND org_id = ?"+lock, id, org)
	return readRow(row, scanUser, "user", s.missing("user", hook.KindUser, id))
}

// UserByName reads a person by his name, in whatever case it is written.
func (s *Store) UserByName(ctx context.Context, name string) (hook.User, error) {
	row := s.read.QueryRowContext(ctx, "SELECT "+userColumns+" FROM users WHERE folded = ?", folded(name))
	return readRow(row, scanUser, "user", hook.Errorf(hook.CodeNotFound, "there is no user with this name"))
}

// Users reads one page of an organization's people.
func (s *Store) Users(ctx context.Context, org hook.Key, page hook.Page) ([]hook.User, error) {
	q, args := onPage("SELECT "+userColumns+" FROM users WHERE org_id = ?", page, org)
	return readRows(ctx, s.read, scanUser, "users", q, args...)
}

// AnyUser says whether there is a person in the whole store.
func (s *Store) AnyUser(ctx context.Context) (bool, error) {
	found, err := exists(ctx, s.read, "SELECT 1 FROM users")
	if err != nil {
		return false, fmt.Errorf("look for users: %w", err)
	}
	return found, nil
}

// UpdateUser gives a person the name, role and state of u. CodeStale when he was
// changed since u was read. Who is disabled is signed out by the same transaction, and
// his links are void.
func (s *Store) UpdateUser(ctx context.Context, u hook.User) (hook.User, error) {
	made := u
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		old, err := s.user(ctx, tx, u.Org, u.ID, forUpdate)
		if err != nil {
			return err
		}
		if err := notStale("user", old.UpdatedAt, u.UpdatedAt); err != nil {
			return err
		}
		taken, err := exists(ctx, tx, "SELECT 1 FROM users WHERE folded = ? AND id <> ?", folded(u.Name), u.ID)
		if err != nil {
			return err
		}
		if taken {
			return hook.Errorf(hook.CodeConflict, "the name %q is taken; an e-mail address is a name that nobody else has", u.Name)
		}
		made = old
		made.Name, made.Role, made.Disabled, made.UpdatedAt = clean(strings.TrimSpace(u.Name)), u.Role, u.Disabled, changedAt(old.UpdatedAt)
		const q = "UPDATE users SET name = ?, folded = ?, role = ?, disabled = ?, updated_at = ? WHERE id = ?"
		if err := one(tx.ExecContext(ctx, q, made.Name, folded(made.Name), string(made.Role), number01(made.Disabled), ms(made.UpdatedAt), u.ID)); err != nil {
			return err
		}
		if !made.Disabled {
			return nil
		}
		return signOut(ctx, tx, u.ID, 0)
	})
	if err != nil {
		return hook.User{}, fmt.Errorf("update user: %w", err)
	}
	return made, nil
}

// signOut ends all sessions of a person but one, and makes his links void.
func signOut(ctx context.Context, tx *sql.Conn, user, but hook.Key) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM sessions WHERE user_id = ? AND id <> ?", user, but); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "DELETE FROM sign_in_links WHERE user_id = ?", user)
	return err
}

// DeleteUser forgets a person, signs him out and makes his links void.
func (s *Store) DeleteUser(ctx context.Context, org, id hook.Key) error {
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if _, err := s.user(ctx, tx, org, id, forUpdate); err != nil {
			return err
		}
		if err := signOut(ctx, tx, id, 0); err != nil {
			return err
		}
		return one(tx.ExecContext(ctx, "DELETE FROM users WHERE id = ?", id))
	})
	if err != nil {
		return fmt.Errorf("delete user: %w", err)
	}
	return nil
}

// AddLink keeps a link with which a person signs in once; earlier ones are void.
// CodeConflict when he is disabled.
func (s *Store) AddLink(ctx context.Context, org hook.Key, link hook.Link) error {
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		u, err := s.user(ctx, tx, org, link.User, forUpdate)
		if err != nil {
			return err
		}
		if u.Disabled {
			return hook.Errorf(hook.CodeConflict, "the user %s is disabled; enable him first", u.Name)
		}
		return s.addLink(ctx, tx, &u, link)
	})
	if err != nil {
		return fmt.Errorf("add link: %w", err)
	}
	return nil
}

// SetPassword gives the person of a session a password – its hash – if the old one is
// still was, signs him out everywhere else, makes his links void, and puts fresh in the place
// of the session's token. CodeStale when the password was changed by others meanwhile.
func (s *Store) SetPassword(ctx context.Context, x hook.Session, was, password hook.Secret, fresh [32]byte) error {
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		u, err := s.user(ctx, tx, x.Org, x.User, forUpdate)
		if err != nil {
			return err
		}
		if u.Password != was {
			return hook.Errorf(hook.CodeStale, "the password was changed in the meantime; sign in again")
		}
		found, err := exists(ctx, tx, "SELECT 1 FROM sessions WHERE id = ? AND user_id = ? AND hash = ?", x.ID, x.User, x.Hash[:])
		if err != nil {
			return err
		}
		if !found {
			return errNoSession
		}
		if err := one(tx.ExecContext(ctx, "UPDATE users SET password = ?, updated_at = ? WHERE id = ?", password.Reveal(), ms(changedAt(u.UpdatedAt)), u.ID)); err != nil {
			return err
		}
		if err := signOut(ctx, tx, u.ID, x.ID); err != nil {
			return err
		}
		return one(tx.ExecContext(ctx, "UPDATE sessions SET hash = ?, by_link = 0 WHERE id = ?", fresh[:], x.ID))
	})
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	return nil
}
