package scope

import (
	"net/http"
	"strings"

	"github.com/registrykit/registry/auth"
)

// Bearer returns the Bearer token of a request (RFC 6750, section 2.1), and whether it has one. The
// token of a request with a second Authorization header is empty, and so invalid: it is unclear
// which header counts.
func Bearer(r *http.Request) (token string, ok bool) {
	values := r.Header["Authorization"]
	if len(values) == 0 {
		return "", false
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	if len(values) > 1 {
		return "", true
	}
	return strings.TrimLeft(token, " "), true
}

// Challenge returns a challenge that asks for a token with the scopes of the accesses. realm and
// service must have no quotes and backslashes. verify reports whether the token of the request is
// valid: the client then needs another scope, and otherwise another token.
func Challenge(r *http.Request, realm, service string, accesses []auth.Access, verify func(token string) error) string {
	challenge := `Bearer realm="` + realm + `",service="` + service + `"`
	if s := Format(accesses); s != "" {
		challenge += `,scope="` + s + `"`
	}
	token, ok := Bearer(r)
	switch {
	case !ok:
		return challenge
	case verify(token) != nil:
		return challenge + `,error="invalid_token"`
	}
	return challenge + `,error="insufficient_scope"`
}
