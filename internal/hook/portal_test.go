package hook

import (
	"strings"
	"testing"
)

func TestOriginsOfPortalsAreThoseThatBrowsersSend(t *testing.T) {
	t.Parallel()
	for origin, right := range map[string]bool{
		"https://app.example.com": true, "https://app.example.com:8443": true, "http://localhost:5173": true, "http://127.0.0.1": true, "https://[2001:db8::1]:444": true,
		"https://app.example.com/": false, "https://app.example.com/x": false, "https://App.example.com": false, "https://*.example.com": false, "*": false, "null": false,
		"http://app.example.com": false, "https://app.example.com:443": false, "https://user@app.example.com": false, "https://app.example.com?x": false, "https://": false,
		"ftp://app.example.com": false, "https://a.example;frame-ancestors": false, "https://a.example,https://b.example": false, "https://app.example.com:": false, "//app.example.com": false,
		"https://a.example'self'": false, "javascript://x": false, "http://localhost.evil.example": false,
	} {
		p := PortalSettings{Origins: origin}
		if field, why := p.Check(); (why == "") != right || !right && field != "allowedOrigins" {
			t.Errorf("%s: %q %q", origin, field, why)
		}
	}
	many := PortalSettings{Origins: strings.Repeat("https://a.example ", 21)}
	if field, _ := many.Check(); field != "allowedOrigins" {
		t.Error("21 origins are taken")
	}
	p := PortalSettings{Origins: "https://a.example https://b.example"}
	for origin, allowed := range map[string]bool{"https://a.example": true, "https://b.example": true, "https://c.example": false, "": false, "https://a.example https://b.example": false} {
		if p.Allows(origin) != allowed {
			t.Errorf("%q is allowed: %v", origin, !allowed)
		}
	}
}

func TestLooksOfPortalsHoldNoScript(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		p     PortalSettings
		field string
	}{
		"a colour":            {PortalSettings{Colour: "#1a2B3c"}, ""},
		"a name of a colour":  {PortalSettings{Colour: "red"}, "colour"},
		"more than a colour":  {PortalSettings{Colour: "#1a2b3c;x:url(//e)"}, "colour"},
		"a logo":              {PortalSettings{Logo: "data:image/png;base64,iVBORw0="}, ""},
		"a logo elsewhere":    {PortalSettings{Logo: "https://example.com/logo.png"}, "logo"},
		"a page":              {PortalSettings{Logo: "data:text/html;base64,PGI+"}, "logo"},
		"text after the data": {PortalSettings{Logo: "data:image/png;base64,iVBORw0=\" onerror="}, "logo"},
		"a poster":            {PortalSettings{Logo: "data:image/png;base64," + strings.Repeat("A", 49<<10)}, "logo"},
	} {
		if field, why := c.p.Check(); field != c.field {
			t.Errorf("%s: %s %s", what, field, why)
		}
	}
}
