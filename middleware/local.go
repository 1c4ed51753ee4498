package middleware

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/registrykit/registry/internal/hostname"
	"github.com/registrykit/registry/internal/wire"
)

// LocalOnly protects a registry on a loopback address, on which everyone may do everything, from
// web pages. It is [LocalHost] around [SameOrigin].
func LocalOnly(next http.Handler) http.Handler {
	return LocalHost(sameOrigin(http.NewCrossOriginProtection(), next))
}

// LocalHost returns a handler that passes requests to next if their Host header is "localhost" or a
// loopback address, with any port. It refuses other requests with 403 DENIED. names are further
// host names to accept, without ports, such as that of a proxy on this machine.
func LocalHost(next http.Handler, names ...string) http.Handler {
	allowed := make([]string, len(names))
	for i, name := range names {
		allowed[i] = hostname.Split(name)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := hostname.Split(r.Host)
		if hostname.Loopback(name) || name != "" && slices.Contains(allowed, name) {
			next.ServeHTTP(w, r)
			return
		}
		wire.Refuse(w, r, http.StatusForbidden, "DENIED", fmt.Sprintf("no registry is served under the host name %.300q",
			r.Host))
	})
}
