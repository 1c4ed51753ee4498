package middleware

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/registrykit/registry/internal/wire"
)

// SameOrigin returns a handler that refuses writes that a browser sends for a page of another
// origin, with 403 DENIED. Like [http.CrossOriginProtection], it uses the headers Sec-Fetch-Site
// and Origin. Requests without them do not come from browsers and pass. GET, HEAD and OPTIONS pass,
// too.
//
// trusted are the origins whose pages may write, such as "https://ui.example". These pages also
// need [CORS]. SameOrigin returns an error if one of trusted is malformed.
func SameOrigin(next http.Handler, trusted ...string) (http.Handler, error) {
	protection := http.NewCrossOriginProtection()
	for _, origin := range trusted {
		normal, err := parseOrigin(origin)
		if err != nil {
			return nil, err
		}
		if err := protection.AddTrustedOrigin(normal); err != nil {
			return nil, fmt.Errorf("middleware: %w", err)
		}
	}
	return sameOrigin(protection, next), nil
}

func sameOrigin(protection *http.CrossOriginProtection, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if protection.Check(r) != nil {
			wire.Refuse(w, r, http.StatusForbidden, "DENIED", "pages of other origins may not write to this registry")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// parseOrigin returns an origin in the form that browsers send: in lower case, without a default
// port.
func parseOrigin(s string) (string, error) {
	u, err := url.Parse(strings.ToLower(s))
	if err != nil || u.Scheme == "" || u.Hostname() == "" || u.User != nil || strings.Contains(u.Host, "*") ||
		u.Scheme+"://"+u.Host != u.String() {
		return "", fmt.Errorf("middleware: %q is not an origin such as https://ui.example or http://localhost:3000", s)
	}
	if port := u.Port(); port == "443" && u.Scheme == "https" || port == "80" && u.Scheme == "http" || port == "" {
		u.Host = strings.TrimSuffix(u.Host, ":"+port)
	}
	return u.String(), nil
}
