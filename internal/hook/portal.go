package hook

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// PortalSettings are how an organization's portals look and who may show them.
type PortalSettings struct {
	// Origins are those whose pages may show a portal in a frame, and whose scripts may use
	// its token; separated by spaces, so that settings can be compared.
	Origins string `json:"allowedOrigins,omitempty"`
	// Colour is #rrggbb, and Logo a data: URL of an image.
	Colour string `json:"colour,omitempty"`
	Logo   string `json:"logo,omitempty"`
	// ReadOnly is what portals are whose maker does not say.
	ReadOnly bool `json:"readOnlyDefault,omitempty"`
}

// Allows says whether an origin is one of those.
func (p *PortalSettings) Allows(origin string) bool {
	for o := range strings.FieldsSeq(p.Origins) {
		if o == origin {
			return true
		}
	}
	return false
}

const (
	mostOrigins = 20
	longestLogo = 48 << 10
)

var (
	colourForm = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)
	logoForm   = regexp.MustCompile(`^data:image/(png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/]+={0,2}$`)
	hostForm   = regexp.MustCompile(`^[a-z0-9]([a-z0-9.\-]*[a-z0-9])?$|^\[[0-9a-f:]+\]$`)
)

// Check says which field of the settings is at fault, and why.
func (p *PortalSettings) Check() (field, why string) {
	list := strings.Fields(p.Origins)
	if len(list) > mostOrigins {
		return "allowedOrigins", "has more than 20 items"
	}
	for _, o := range list {
		if why := checkOrigin(o); why != "" {
			return "allowedOrigins", fmt.Sprintf("%.80s %s; write it like https://app.example.com", o, why)
		}
	}
	switch {
	case p.Colour != "" && !colourForm.MatchString(p.Colour):
		return "colour", "is not of the form #1a2b3c"
	case len(p.Logo) > longestLogo:
		return "logo", "is longer than 48 KiB"
	case p.Logo != "" && !logoForm.MatchString(p.Logo):
		return "logo", "is not data:image/png;base64,… (png, jpeg, gif, webp or svg+xml)"
	}
	return "", ""
}

// checkOrigin says what is wrong with an origin: it goes into headers, and is compared
// with what browsers send, letter by letter.
func checkOrigin(o string) string {
	u, err := url.Parse(o)
	switch {
	case err != nil || u.Host == "" || u.Scheme+"://"+u.Host != o:
		return "is no origin, which has a scheme, a host and perhaps a port, and no path"
	case !hostForm.MatchString(strings.TrimSuffix(u.Host, ":"+u.Port())):
		return "has a host that is not in lower-case letters of a domain name, or has a wildcard"
	case u.Port() == "" && strings.HasSuffix(u.Host, ":") || u.Port() == "443" && u.Scheme == "https" || u.Port() == "80" && u.Scheme == "http":
		return "has a port that browsers leave out"
	case u.Scheme == "https":
		return ""
	case u.Scheme == "http" && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "[::1]" || u.Hostname() == "::1"):
		return ""
	}
	return "is not https, which only localhost need not be"
}
