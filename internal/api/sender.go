package api

import (
	"context"
	"net/http"
	"net/netip"
	"strings"

	"github.com/sigpost/sigpost/internal/hook"
)

// sender is what a request says of where it comes from.
type sender struct {
	secure bool // the browser came over https
	page   page
	cookie string            // of a session; empty for none
	remote func() netip.Addr // nil: nobody can say
}

// addr is the address of the sender; zero when it is not known.
func (s *sender) addr() netip.Addr {
	if s.remote == nil {
		return netip.Addr{}
	}
	return s.remote()
}

// page says which web page made a request, as its browser tells.
type page int

const (
	pageUnsaid page = iota // no browser, or an address that was typed
	pageOwn                // one of our own
	pageOther              // of another origin, or a neighbouring one
)

type senderKey struct{}

func (a *API) sender(r *http.Request) *sender {
	s := &sender{secure: r.TLS != nil || strings.HasPrefix(a.PublicURL(), "https://")}
	if a.Remote != nil {
		s.remote = func() netip.Addr { return a.Remote(r) }
	}
	s.page = a.pageOf(r, s.secure)
	if c, err := r.Cookie(cookieName(s.secure)); err == nil {
		s.cookie = c.Value
	}
	return s
}

// pageOf finds out which page made a request. Browsers say Sec-Fetch-Site wherever a
// connection is safe, and no page can change it; elsewhere they say Origin with
// everything that changes something.
func (a *API) pageOf(r *http.Request, secure bool) page {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin":
		return pageOwn
	case "none":
		return pageUnsaid
	case "":
	default:
		return pageOther
	}
	switch origin := r.Header.Get("Origin"); {
	case origin == "":
		return pageUnsaid
	case origin == originOf(a.PublicURL()) || origin == own(r, secure):
		return pageOwn
	}
	return pageOther
}

// own is the origin under which a browser asked.
func own(r *http.Request, secure bool) string {
	if secure {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// originOf is the origin of a URL: what stands before its path.
func originOf(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return ""
	}
	host, _, _ := strings.Cut(rest, "/")
	return strings.ToLower(scheme + "://" + host)
}

func withSender(ctx context.Context, s *sender) context.Context {
	return context.WithValue(ctx, senderKey{}, s)
}

// senderOf is the sender of the request behind ctx; never nil.
func senderOf(ctx context.Context) *sender {
	if s, ok := ctx.Value(senderKey{}).(*sender); ok {
		return s
	}
	return &sender{}
}

var errForeignPage = hook.Errorf(hook.CodeDenied, "a change with a cookie must come from a page of the dashboard: its Origin must be that of public_url; programs send a token (Authorization: Bearer …) instead")

// mustBeOwn refuses what no page of ours asked for. The pages of others can make a
// browser send a cookie, but not say that they are ours.
func (s *sender) mustBeOwn() error {
	if s.page != pageOwn {
		return errForeignPage
	}
	return nil
}

// cookieName is that of the session's cookie. Where the browser came over https its prefix
// says that no neighbouring host has set it (RFC 6265bis, 4.1.3.2).
func cookieName(secure bool) string {
	if secure {
		return "__Host-" + SessionCookie
	}
	return SessionCookie
}

// SessionCookie is the name of the cookie in which a browser has its session; over https
// it begins with __Host-.
const SessionCookie = "sigpost_session"

// cookieOf is a Set-Cookie header; an empty token deletes the cookie.
func (s *sender) cookieOf(token hook.Secret) string {
	c := http.Cookie{Name: cookieName(s.secure), Value: token.Reveal(), Path: "/", HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteStrictMode, MaxAge: int(hook.SessionLife.Seconds())}
	if token == "" {
		c.MaxAge = -1
	}
	return c.String()
}
