package webhook

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// special are the ranges of addresses that are refused besides those that package netip knows.
// IANA lists most of them as not globally reachable. All of IPv6 outside of 2000::/3 is refused,
// too.
var special = prefixes(
	"0.0.0.0/8",        // this network
	"100.64.0.0/10",    // carrier-grade NAT; metadata of Alibaba Cloud
	"168.63.129.16/32", // metadata of Azure
	"192.0.0.0/24",     // IETF protocols; metadata of Oracle Cloud
	"192.0.2.0/24",     // documentation
	"192.88.99.0/24",   // 6to4 relays
	"198.18.0.0/15",    // benchmarks
	"198.51.100.0/24",  // documentation
	"203.0.113.0/24",   // documentation
	"240.0.0.0/4",      // reserved
	"2001::/23",        // IETF protocols, with Teredo, which embeds addresses of IPv4
	"2001:db8::/32",    // documentation
	"2002::/16",        // 6to4, which embeds addresses of IPv4
	"3fff::/20",        // documentation
)

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		list[i] = netip.MustParsePrefix(t)
	}
	return list
}

// addresses decides which addresses are dialled.
type addresses struct {
	all   bool
	allow []netip.Prefix
}

// control is net.Dialer.ControlContext. It is called with each address after the name was resolved
// and before the connection is made, so that a name cannot resolve to another address in between.
func (a addresses) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %q", ErrAddress, address)
	}
	return a.check(at.Addr())
}

// check returns ErrAddress for an address that is not allowed.
func (a addresses) check(ip netip.Addr) error {
	ip = ip.Unmap().WithZone("")
	if a.all || public(ip) {
		return nil
	}
	for _, p := range a.allow {
		if p.Contains(ip) {
			return nil
		}
	}
	return fmt.Errorf("%w: %s", ErrAddress, ip)
}

// nat64 is the prefix of addresses that a gateway translates to the IPv4 address at their end. In a
// network of IPv6 only, every receiver with an IPv4 address has such an address.
var (
	nat64         = netip.MustParsePrefix("64:ff9b::/96")
	globalUnicast = netip.MustParsePrefix("2000::/3")
)

// public reports whether an address is one of the public Internet.
func public(ip netip.Addr) bool {
	if nat64.Contains(ip) {
		b := ip.As16()
		return public(netip.AddrFrom4([4]byte(b[12:])))
	}
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.Is6() && !globalUnicast.Contains(ip) {
		return false
	}
	for _, p := range special {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}

func (a addresses) dialer() *net.Dialer { return &net.Dialer{ControlContext: a.control} }
