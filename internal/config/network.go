package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Network is a prefix in which a single address stands for itself.
type Network struct{ netip.Prefix }

// UnmarshalText reads "10.0.0.0/8" or "10.0.0.1". A network whose address has
// bits outside of its mask is refused: 10.1.2.3/8 may well be meant for one host.
func (n *Network) UnmarshalText(text []byte) error {
	if addr, err := netip.ParseAddr(string(text)); err == nil && addr.Zone() == "" {
		n.Prefix = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
		return nil
	}
	p, err := netip.ParsePrefix(string(text))
	switch {
	case err != nil:
		return fmt.Errorf("%.60q is neither a network like 10.0.0.0/8 nor an address like 10.0.0.1", text)
	case p.Addr().Is4In6():
		return fmt.Errorf("%q is an IPv4 network in the form of IPv6; write it like 10.0.0.0/8", text)
	case p != p.Masked():
		return fmt.Errorf("%q is no network, because its mask cuts the address; write %s for the network or %s for the address", text, p.Masked(), p.Addr())
	}
	n.Prefix = p
	return nil
}

// Prefixes are networks as prefixes.
func Prefixes(networks []Network) []netip.Prefix {
	out := make([]netip.Prefix, len(networks))
	for i, n := range networks {
		out[i] = n.Prefix
	}
	return out
}

func isPublic(addr netip.Addr) bool {
	return !addr.IsPrivate() && !addr.IsLoopback() && !addr.IsLinkLocalUnicast() && !addr.IsUnspecified() && !addr.IsMulticast()
}

// PrivateHost is the error of a host that is an address on a network which is
// neither public nor allowed. It is a courtesy: names are not looked up, and
// the dialer has the last word, after DNS.
func PrivateHost(host string, allow []Network) error {
	name := strings.TrimSuffix(strings.ToLower(host), ".")
	text := host
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		text = "127.0.0.1"
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return nil // a name: the dialer sees what it resolves to
	}
	addr = addr.Unmap().WithZone("")
	allowed := slices.ContainsFunc(allow, func(n Network) bool { return n.Contains(addr) })
	if isPublic(addr) || allowed {
		return nil
	}
	return fmt.Errorf("%s is on a private network, to which nothing is sent unless the operator allows it; add %q to allow_nets (or `--allow-nets %s`), then restart", host, netip.PrefixFrom(addr, addr.BitLen()), around(addr))
}

// around is what to allow for an address: all of loopback, else it alone.
func around(addr netip.Addr) netip.Prefix {
	if addr.Is4() && addr.IsLoopback() {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8)
	}
	return netip.PrefixFrom(addr, addr.BitLen())
}

func (l *loader) network(at, host string) {
	if err := PrivateHost(host, l.cfg.AllowNets); err != nil {
		l.fault(at, "%v", err)
	}
}

// networks warns of what opens everything.
func (l *loader) networks() {
	for _, n := range l.cfg.AllowNets {
		if n.IsValid() && n.Bits() == 0 {
			l.warn("allow_nets: %s lets endpoints be on every private network, cloud metadata services included; name the networks that you need", n)
		}
	}
	for _, n := range l.cfg.TrustedProxies {
		if n.IsValid() && n.Bits() == 0 {
			l.warn("trusted_proxies: %s lets every sender choose the address that it seems to come from; name your proxies", n)
		}
	}
}
