package webhook

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// SetDial lets the transport of w connect to something else than the network.
func SetDial(w *Webhook, dial func(context.Context, string, string) (net.Conn, error)) {
	w.client.(*http.Transport).DialContext = dial
}

// SetResolver lets w look up names with r. Addresses are checked as usual.
func SetResolver(w *Webhook, r *net.Resolver) {
	allowed := addresses{all: w.opts.AllowPrivate, allow: w.opts.AllowPrefixes}
	d := allowed.dialer()
	d.Resolver = r
	w.client.(*http.Transport).DialContext = d.DialContext
}

// CheckAddress returns the error for an address.
func CheckAddress(ip netip.Addr, allow ...netip.Prefix) error {
	return addresses{allow: allow}.check(ip)
}

// RetryAfter reads a header Retry-After.
func RetryAfter(value string, now time.Time, limit time.Duration) time.Duration {
	return retryAfter(value, now, limit)
}
