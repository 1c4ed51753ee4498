package limit

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// maxHops is the maximum number of addresses that are read from X-Forwarded-For.
const maxHops = 16

// Address returns the network that a request comes from. That is the network of the peer of the
// connection or, if the peer is a trusted proxy, of the client that X-Forwarded-For names. The
// network is what one subscriber usually has: one IPv4 address, or a /64 of IPv6. If the peer has
// no address, such as that of a Unix socket, Address returns the zero Prefix.
//
// X-Forwarded-For is read from its end, where the nearest proxy appends. Address ignores everything
// before the first address that is not a trusted proxy, because a client can invent it.
func Address(r *http.Request, trusted []netip.Prefix) netip.Prefix {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	client := clean(peer.Addr())
	isTrusted := func(a netip.Addr) bool {
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	lines := r.Header["X-Forwarded-For"]
	rest, line := "", len(lines)
	for range maxHops {
		if !isTrusted(client) {
			break
		}
		if rest == "" {
			if line--; line < 0 {
				break
			}
			rest = lines[line]
		}
		last := rest
		if i := strings.LastIndexByte(rest, ','); i >= 0 {
			rest, last = rest[:i], rest[i+1:]
		} else {
			rest = ""
		}
		a, ok := parse(strings.TrimSpace(last))
		if !ok {
			break
		}
		client = a
	}
	bits := 32
	if client.Is6() {
		bits = 64
	}
	network, _ := client.Prefix(bits) // never fails: bits fits the address
	return network
}

// parse reads an address with or without a port: some proxies write one.
func parse(s string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		return clean(a), true
	}
	a, err := netip.ParseAddrPort(s)
	return clean(a.Addr()), err == nil
}

func clean(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
