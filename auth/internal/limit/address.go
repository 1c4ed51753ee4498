package limit

import (
	"net/http"
	"net/netip"

	"github.com/registrykit/registry/internal/forwarded"
)

// Address returns the network that a request comes from. That is the network of the peer of the
// connection or, if the peer is a trusted proxy, of the client that X-Forwarded-For names; see
// package forwarded. The network is what one subscriber usually has: one IPv4 address, or a /64 of
// IPv6. If the peer has no address, such as that of a Unix socket, Address returns the zero Prefix.
func Address(r *http.Request, trusted []netip.Prefix) netip.Prefix {
	client, ok := forwarded.Client(r, trusted)
	if !ok {
		return netip.Prefix{}
	}
	bits := 32
	if client.Addr().Is6() {
		bits = 64
	}
	network, _ := client.Addr().Prefix(bits) // never fails: bits fits the address
	return network
}
