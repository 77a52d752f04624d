package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/sigpost/sigpost/internal/hook"
)

// UserIn makes a person.
type UserIn struct {
	Name string `json:"name" minLength:"1" maxLength:"256" doc:"With which he signs in; an e-mail address is one that nobody else has"`
	Role string `json:"role" enum:"admin,developer,viewer"`
}

// UserPatch changes a person; what is left out stays.
type UserPatch struct {
	Name     *string `json:"name,omitempty" minLength:"1" maxLength:"256"`
	Role     *string `json:"role,omitempty" enum:"admin,developer,viewer"`
	Disabled *bool   `json:"disabled,omitempty" doc:"Who is disabled is signed out and cannot sign in"`
}

// UserOut is a person.
type UserOut struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Role       string     `json:"role" enum:"admin,developer,viewer"`
	Disabled   bool       `json:"disabled"`
	CreatedAt  time.Time  `json:"createdAt"`
	LastSeenAt *time.Time `json:"lastSeenAt" nullable:"true"`
}

// LinkOut is a link with which somebody signs in once.
type LinkOut struct {
	Link      string    `json:"link" format:"uri" doc:"It is shown this once, and signs in once"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// UserCreatedOut is a new person.
type UserCreatedOut struct {
	UserOut
	LinkOut
}

// UserPath names a person in a path.
type UserPath struct {
	UserID string `path:"user_id" minLength:"1" maxLength:"64" pattern:"^[a-zA-Z0-9_]+$"`
}

func (a *API) userOut(u *hook.User) UserOut {
	return UserOut{a.IDs.Public(hook.KindUser, u.ID), u.Name, string(u.Role), u.Disabled, when(u.CreatedAt), pointer(when(u.SeenAt))}
}

func registerUsers(a *API) {
	const all, one = "/api/v1/user", "/api/v1/user/{user_id}"
	register(a, operation{id: "user.list", method: http.MethodGet, path: all, summary: "List the people who may sign in", access: accessAdmin}, a.listUsers)
	register(a, operation{id: "user.create", method: http.MethodPost, path: all, summary: "Add a person, who signs in with the link that is answered", access: accessAdmin, status: http.StatusCreated}, a.createUser)
	register(a, operation{id: "user.get", method: http.MethodGet, path: one, summary: "Read a person", access: accessAdmin}, a.getUser)
	register(a, operation{id: "user.patch", method: http.MethodPatch, path: one, summary: "Change a person's name or role, disable or enable him", access: accessAdmin}, a.patchUser)
	register(a, operation{id: "user.delete", method: http.MethodDelete, path: one, summary: "Delete a person and sign him out", access: accessAdmin, status: http.StatusNoContent}, a.deleteUser)
	register(a, operation{id: "user.link", method: http.MethodPost, path: one + "/link", summary: "Make a link with which a person signs in once", access: accessAdmin, status: http.StatusCreated}, a.linkUser)
}

func (a *API) listUsers(ctx context.Context, in *OrderedIn) (*Body[ListOut[UserOut]], error) {
	p, back, err := a.page(in.ListIn, hook.KindUser, in.Order == "ascending")
	if err != nil {
		return nil, err
	}
	limit := p.Limit
	p.Limit++
	rows, err := a.Store.Users(ctx, caller(ctx).Org, p)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, limit, func(u *hook.User) hook.Key { return u.ID })
	out, keys := make([]UserOut, len(rows)), make([]hook.Key, len(rows))
	for i := range rows {
		out[i], keys[i] = a.userOut(&rows[i]), rows[i].ID
	}
	return listOut(a, hook.KindUser, out, keys, next, in.ListIn, back), nil
}

// blankBraille is a letter without a dot.
const blankBraille = 0x2800

// checkName refuses names that nobody could type, or take for another.
func checkName(name string) error {
	if strings.TrimSpace(name) != name {
		return invalid("begins or ends with white space", "body", "name")
	}
	for _, r := range name {
		if !unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) || r == blankBraille {
			return invalid("holds a character that cannot be seen", "body", "name")
		}
	}
	return checkText("name", name, 1024)
}

func (a *API) createUser(ctx context.Context, in *struct{ Body UserIn }) (*Body[UserCreatedOut], error) {
	if err := checkName(in.Body.Name); err != nil {
		return nil, err
	}
	token, link := NewLink(time.Now())
	u, err := a.Store.CreateUser(ctx, hook.User{Org: caller(ctx).Org, Name: in.Body.Name, Role: hook.Scope(in.Body.Role)}, link)
	if err != nil {
		return nil, err
	}
	return answerWith(http.StatusCreated, UserCreatedOut{a.userOut(&u), a.linkOut(token, &link)}), nil
}

// NewLink makes the token of a link, and what is kept of it.
func NewLink(now time.Time) (hook.Secret, hook.Link) {
	var raw [32]byte
	rand.Read(raw[:])
	text := base64.RawURLEncoding.EncodeToString(raw[:])
	return hook.Secret(text), hook.Link{Hash: sha256.Sum256([]byte(text)), ExpiresAt: now.Add(hook.LinkLife)}
}

// WelcomeURL is where a person goes with the token of a link. It stands in the fragment, so
// that no server and no log sees it; the page posts it.
func (a *API) WelcomeURL(token hook.Secret) string {
	return a.PublicURL() + "/#/welcome?token=" + token.Reveal()
}

func (a *API) linkOut(token hook.Secret, l *hook.Link) LinkOut {
	return LinkOut{a.WelcomeURL(token), when(l.ExpiresAt)}
}

// userOf is the person of a path, in the caller's organization.
func (a *API) userOf(ctx context.Context, in *UserPath) (hook.User, error) {
	id, err := a.IDs.Key(hook.KindUser, in.UserID)
	if err != nil {
		return hook.User{}, err
	}
	return a.Store.User(ctx, caller(ctx).Org, id)
}

func (a *API) getUser(ctx context.Context, in *UserPath) (*Body[UserOut], error) {
	u, err := a.userOf(ctx, in)
	return answerWith(http.StatusOK, a.userOut(&u)), err
}

func (a *API) patchUser(ctx context.Context, in *struct {
	UserPath
	Body UserPatch
}) (*Body[UserOut], error) {
	if name := in.Body.Name; name != nil {
		if err := checkName(*name); err != nil {
			return nil, err
		}
	}
	var u hook.User
	err := a.edit(ctx, "user "+in.UserID, func() (err error) {
		if u, err = a.userOf(ctx, &in.UserPath); err != nil {
			return err
		}
		was := u
		if in.Body.Name != nil {
			u.Name = *in.Body.Name
		}
		if in.Body.Role != nil {
			u.Role = hook.Scope(*in.Body.Role)
		}
		if in.Body.Disabled != nil {
			u.Disabled = *in.Body.Disabled
		}
		if u.Role != was.Role || u.Disabled != was.Disabled {
			if err := notOneself(ctx, u.ID); err != nil {
				return err
			}
		}
		u, err = a.Store.UpdateUser(ctx, u)
		return err
	})
	a.sessions.clear()
	return answerWith(http.StatusOK, a.userOut(&u)), err
}

// notOneself refuses what an administrator must not do to himself: he would be locked
// out, and if he was the last one, everybody.
func notOneself(ctx context.Context, user hook.Key) error {
	if c := caller(ctx); c.User != nil && c.User.ID == user {
		return hook.Errorf(hook.CodeConflict, "this is you; let another administrator do it, so that you are not locked out")
	}
	return nil
}

func (a *API) deleteUser(ctx context.Context, in *UserPath) (*None, error) {
	u, err := a.userOf(ctx, in)
	if err != nil {
		return nil, err
	}
	if err := notOneself(ctx, u.ID); err != nil {
		return nil, err
	}
	if err := a.Store.DeleteUser(ctx, u.Org, u.ID); err != nil {
		return nil, err
	}
	a.sessions.clear()
	return nil, nil
}

func (a *API) linkUser(ctx context.Context, in *UserPath) (*Body[LinkOut], error) {
	u, err := a.userOf(ctx, in)
	if err != nil {
		return nil, err
	}
	token, link := NewLink(time.Now())
	link.User = u.ID
	if err := a.Store.AddLink(ctx, u.Org, link); err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	return answerWith(http.StatusCreated, a.linkOut(token, &link)), nil
}
