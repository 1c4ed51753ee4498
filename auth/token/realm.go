package token

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/registrykit/registry/internal/hostname"
)

// realm returns the URL of the endpoint for a challenge, "" if the request names no usable host.
// Clients send their password there.
//
// Options.Realm and Options.ExternalURL decide first. Otherwise the URL has the host name by which
// the client came. Its scheme is https unless the name is loopback or Options.PlainHTTP is set: TLS
// may end in a proxy that is not listed as trusted, and then a realm with http would have clients
// send passwords in the clear. Headers with another name or scheme count only if a trusted proxy
// sent them.
func (s *Service) realm(r *http.Request) string {
	if s.opts.Realm != "" {
		return s.opts.Realm
	}
	host, plain := r.Host, r.TLS == nil
	if s.trusted(r) {
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

// trusted reports whether the peer of the connection is a proxy that the host of this package has
// listed.
func (s *Service) trusted(r *http.Request) bool {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	ip := addr.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(s.opts.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// firstOf is the first element of the list in a header, which the proxy nearest to the client has
// set.
func firstOf(h http.Header, key string) string {
	first, _, _ := strings.Cut(h.Get(key), ",")
	return strings.TrimSpace(first)
}

// validHost reports whether host is a name or address, with a port perhaps, that can stand in a URL
// and in quotes.
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

// setRealm derives Realm from ExternalURL, and refuses values of either that clients would not
// understand.
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

// parseEndpoint parses an http or https URL that can stand in the quotes of a challenge. It reports
// whether clients can use it.
func parseEndpoint(s string) (*url.URL, bool) {
	u, err := url.Parse(s)
	ok := err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil && u.Fragment == "" &&
		!strings.ContainsAny(s, "\"\\ #")
	return u, ok
}
