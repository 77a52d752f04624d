package intake

import (
	"net/http"
	"net/netip"
	"strings"
)

// Remote is the address of the sender: the peer of the connection, or, as far
// as trusted proxies vouch for it, what X-Forwarded-For says, read from its end.
func (h *Handler) Remote(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := at.Addr().Unmap()
	if len(h.o.TrustedProxies) == 0 {
		return addr
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0 && contains(h.o.TrustedProxies, addr); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = next.Unmap()
	}
	return addr
}

func allowed(list []netip.Prefix, addr netip.Addr) bool {
	return len(list) == 0 || contains(list, addr)
}

func contains(list []netip.Prefix, addr netip.Addr) bool {
	for _, p := range list {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
