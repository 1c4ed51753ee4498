package token

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/registrykit/registry/internal/forwarded"
	"github.com/registrykit/registry/internal/hostname"
)

// realm returns the URL of the endpoint for a challenge, or "" if the request names no usable host.
// Clients send their passwords to that URL.
//
// Options.Realm and Options.ExternalURL take precedence. Otherwise the URL has the host name of the
// request. Its scheme is https unless the name is loopback or Options.PlainHTTP is set: if TLS ends
// in a proxy that is not listed as trusted, an http realm would make clients send passwords
// unencrypted. Headers with another name or scheme count only if a trusted proxy sent them.
func (s *Service) realm(r *http.Request) string {
	if s.opts.Realm != "" {
		return s.opts.Realm
	}
	host, plain := r.Host, r.TLS == nil
	if forwarded.FromProxy(r, s.opts.TrustedProxies) {
		if h := firstOf(r.Header, "X-Forwarded-Host"); h != "" {
			host = h
		}
		if proto := firstOf(r.Header, "X-Forwarded-Proto"); proto != "" {
			plain = strings.EqualFold(proto, "http")
		}
	}
	if !validHost(host) {
		return ""
	}
	scheme := "https"
	if plain && (s.opts.PlainHTTP || hostname.Loopback(host)) {
		scheme = "http"
	}
	return scheme + "://" + host + s.opts.Path
}

// firstOf returns the first element of the list in a header. The proxy nearest to the client has
// set it.
func firstOf(h http.Header, key string) string {
	first, _, _ := strings.Cut(h.Get(key), ",")
	return strings.TrimSpace(first)
}

// validHost reports whether host is a name or an address, with or without a port, that is valid in
// a URL and in the quotes of a challenge.
func validHost(host string) bool {
	if host == "" || len(host) > 300 {
		return false
	}
	for i := range len(host) {
		switch c := host[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("-._:[]", c) >= 0:
		default:
			return false
		}
	}
	_, err := url.Parse("https://" + host)
	return err == nil
}

// setRealm derives Realm from ExternalURL. It returns an error for values of either that clients
// cannot use.
func (o *Options) setRealm() error {
	if o.ExternalURL != "" {
		if u, ok := parseEndpoint(o.ExternalURL); !ok || u.RawQuery != "" || u.ForceQuery {
			return fmt.Errorf("token: ExternalURL %q is not the URL of a registry", o.ExternalURL)
		}
		if o.Realm == "" {
			o.Realm = strings.TrimRight(o.ExternalURL, "/") + o.Path
		}
	}
	if o.Realm != "" {
		if _, ok := parseEndpoint(o.Realm); !ok {
			return fmt.Errorf("token: Realm %q is not the URL of an endpoint", o.Realm)
		}
	}
	return nil
}

// parseEndpoint parses an http or https URL. It reports whether clients can use the URL in the
// quotes of a challenge.
func parseEndpoint(s string) (*url.URL, bool) {
	u, err := url.Parse(s)
	ok := err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil && u.Fragment == "" &&
		!strings.ContainsAny(s, "\"\\ #")
	return u, ok
}
