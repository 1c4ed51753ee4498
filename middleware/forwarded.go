package middleware

import (
	"net/http"
	"net/netip"
	"slices"

	"github.com/registrykit/registry/internal/forwarded"
)

// Forwarded returns a handler that passes requests to next with the address of the client in
// RemoteAddr, also if a proxy has forwarded them. Events, audit records and access logs then name
// the client. trusted are the addresses of the proxies. Everything else in the request stays. The
// page and the sign-in of people accept passwords by way of a trusted proxy that names the scheme
// https in X-Forwarded-Proto.
//
// X-Forwarded-For counts only if the peer of the connection is a trusted proxy, because any client
// can send it. It is read from its end, where the nearest proxy appends, up to the first address
// that is not a trusted proxy, and no further than 16 addresses. Other requests pass unchanged. The
// new RemoteAddr has a port only if the header has one.
//
// Forwarded goes around all handlers that look at RemoteAddr. The options TrustedProxies of
// packages htpasswd and token work behind it.
func Forwarded(next http.Handler, trusted []netip.Prefix) http.Handler {
	if len(trusted) == 0 {
		return next
	}
	trusted = slices.Clone(trusted)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, forwarded.WithClient(r, trusted))
	})
}
