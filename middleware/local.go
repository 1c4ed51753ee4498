package middleware

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/registrykit/registry/internal/hostname"
	"github.com/registrykit/registry/internal/wire"
)

// LocalOnly protects a registry on a loopback address that lets everybody do everything from web
// pages. It is [LocalHost] around [SameOrigin].
func LocalOnly(next http.Handler) http.Handler {
	return LocalHost(sameOrigin(http.NewCrossOriginProtection(), next))
}

// LocalHost returns a handler that passes on requests whose Host header is "localhost" or a
// loopback address, with any port, and refuses others with 403 DENIED. names are further host names
// that it passes on, without ports: those of a proxy on this machine, for example.
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
