package limit

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// maxHops is how many addresses of X-Forwarded-For are looked at.
const maxHops = 16

// Address is where a request comes from: the peer of the connection, and if that is one of the
// trusted proxies, who it says the peer of its own is. It is a network as small as one subscriber
// has: an address of IPv4, 64 bits of IPv6. The zero Prefix is a peer without an address, such as
// that of a Unix socket.
//
// X-Forwarded-For is read from its end, where the nearest proxy writes; what stands before the
// first address that is not a trusted proxy may have been made up.
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
	network, _ := client.Prefix(bits) // the bits fit
	return network
}

// parse reads an address, with a port perhaps, as some proxies write it.
func parse(s string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		return clean(a), true
	}
	a, err := netip.ParseAddrPort(s)
	return clean(a.Addr()), err == nil
}

func clean(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
