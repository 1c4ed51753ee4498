package forwarded

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/registrykit/registry/internal/hostname"
)

// schemeKey is the key of the scheme that a trusted proxy has named, in the context of a request.
type schemeKey struct{}

// schemeOf returns the scheme that X-Forwarded-Proto names, or "". It is "http" if one of several
// proxies was reached without TLS.
func schemeOf(r *http.Request) (scheme string) {
	for _, line := range r.Header["X-Forwarded-Proto"] {
		for one := range strings.SplitSeq(line, ",") {
			switch one = strings.ToLower(strings.TrimSpace(one)); {
			case one != "https":
				return "http"
			case scheme == "":
				scheme = one
			}
		}
	}
	return scheme
}

// Confidential reports whether the network between the client and this program cannot read a
// request: it came by TLS, or the name in its URL is a loopback address. Behind a trusted proxy,
// X-Forwarded-Proto decides. Without that, a request that a proxy has forwarded to a loopback
// address is not confidential, because the client may have reached the proxy without TLS.
//
// For a request of [WithClient], trusted has no effect.
func Confidential(r *http.Request, trusted []netip.Prefix) bool {
	scheme, _ := r.Context().Value(schemeKey{}).(string)
	if scheme == "" && FromProxy(r, trusted) {
		scheme = schemeOf(r)
	}
	if scheme != "" {
		return scheme == "https"
	}
	if r.TLS != nil {
		return true
	}
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Proto"} {
		if r.Header[name] != nil {
			return false
		}
	}
	return hostname.Loopback(r.Host)
}
