// Package forwarded finds the client of a request that proxies have forwarded.
//
// Any client can send X-Forwarded-For. The header counts only if the peer of the connection is a
// trusted proxy, and only as far as trusted proxies have written it.
package forwarded

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// maxHops is the maximum number of addresses that are read from X-Forwarded-For.
const maxHops = 16

// peerKey is the key of the peer of the connection in the context of a request whose RemoteAddr is
// that of the client.
type peerKey struct{}

// Client returns the address of the client of a request. The port is zero if it is not known. ok is
// false if the peer of the connection has no address, such as that of a Unix socket.
//
// That is the peer of the connection or, if the peer is a trusted proxy, the client that
// X-Forwarded-For names. The header is read from its end, where the nearest proxy appends.
// Everything before the first address that is not a trusted proxy is ignored, because a client can
// invent it.
//
// For a request of [WithClient], the client is known already, and trusted has no effect.
func Client(r *http.Request, trusted []netip.Prefix) (client netip.AddrPort, ok bool) {
	client, ok = parse(r.RemoteAddr)
	if !ok || r.Context().Value(peerKey{}) != nil {
		return client, ok
	}
	lines := r.Header["X-Forwarded-For"]
	rest, line := "", len(lines)
	for range maxHops {
		if !contains(trusted, client.Addr()) {
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
		next, ok := parse(strings.TrimSpace(last))
		if !ok {
			break
		}
		client = next
	}
	return client, true
}

// WithClient returns a copy of r whose RemoteAddr is the address of the client, if the peer of the
// connection is a trusted proxy that names one. [Confidential] then knows the scheme that the proxy
// names. Requests of other peers are returned themselves.
func WithClient(r *http.Request, trusted []netip.Prefix) *http.Request {
	if !FromProxy(r, trusted) {
		return r
	}
	client, _ := Client(r, trusted)
	if scheme := schemeOf(r); scheme != "" {
		r = r.WithContext(context.WithValue(r.Context(), schemeKey{}, scheme))
	}
	if peer, _ := parse(r.RemoteAddr); client == peer {
		return r
	}
	c := r.WithContext(context.WithValue(r.Context(), peerKey{}, r.RemoteAddr))
	if c.RemoteAddr = client.String(); client.Port() == 0 {
		c.RemoteAddr = client.Addr().String()
	}
	return c
}

// FromProxy reports whether the peer of the connection is a trusted proxy, also for a request of
// [WithClient].
func FromProxy(r *http.Request, trusted []netip.Prefix) bool {
	addr := r.RemoteAddr
	if peer, ok := r.Context().Value(peerKey{}).(string); ok {
		addr = peer
	}
	peer, ok := parse(addr)
	return ok && contains(trusted, peer.Addr())
}

func contains(trusted []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}

// parse reads an address with or without a port: some proxies write one. It removes the zone, and
// turns an IPv4 address within IPv6 into IPv4.
func parse(s string) (netip.AddrPort, bool) {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		var addr netip.Addr
		addr, err = netip.ParseAddr(s)
		a = netip.AddrPortFrom(addr, 0)
	}
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port()), err == nil
}
