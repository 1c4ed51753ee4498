package token

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// realm is the URL of the endpoint that a client is told, and sends its password to. Unless the host of this package has set it, it is at the
// name by which the client has come. It is https but for loopback: whether TLS ends here or in a proxy, a password is not asked
// for in the clear. What a request says of another name or scheme counts only if it comes from a proxy that is trusted.
func (l *Logins) realm(r *http.Request) string {
	if l.opts.Realm != "" {
		return l.opts.Realm
	}
	host, scheme := r.Host, ""
	if l.trusted(r) {
		if h := firstOf(r.Header, "X-Forwarded-Host"); h != "" {
			host = h
		}
		scheme = firstOf(r.Header, "X-Forwarded-Proto")
	}
	if !validHost(host) {
		return ""
	}
	if loopback(host) && (scheme == "http" || scheme == "" && r.TLS == nil) {
		scheme = "http"
	} else {
		scheme = "https"
	}
	return scheme + "://" + host + l.opts.Path
}

// trusted reports whether the peer of the connection is a proxy that the host of this package has listed.
func (l *Logins) trusted(r *http.Request) bool {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	ip := addr.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(l.opts.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// firstOf is the first element of the list in a header, which the proxy nearest to the client has set.
func firstOf(h http.Header, key string) string {
	first, _, _ := strings.Cut(h.Get(key), ",")
	return strings.TrimSpace(first)
}

// validHost reports whether host is a name or address, with a port perhaps, that can stand in a URL and in quotes.
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

func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// checkRealm refuses a realm that clients would not understand.
func checkRealm(realm string) error {
	u, err := url.Parse(realm)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.Fragment != "" || strings.ContainsAny(realm, "\"\\ ") {
		return fmt.Errorf("token: Realm %q is no URL of an endpoint", realm)
	}
	return nil
}
