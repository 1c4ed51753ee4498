package forwarded_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/forwarded"
)

var trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}

// TestClientBelievesTrustedProxiesOnly checks the client, and the RemoteAddr that handlers see.
func TestClientBelievesTrustedProxiesOnly(t *testing.T) {
	for _, c := range []struct {
		remote    string
		forwarded []string
		want      string // "" if the peer has no address
		proxy     bool
	}{
		{"192.0.2.1:99", nil, "192.0.2.1:99", false},
		{"192.0.2.1:99", []string{"198.51.100.7"}, "192.0.2.1:99", false}, // any client can send it
		{"192.0.2.1", []string{"198.51.100.7"}, "192.0.2.1", false},
		{"10.0.0.1:99", nil, "10.0.0.1:99", true},
		{"10.0.0.1:99", []string{"198.51.100.7"}, "198.51.100.7", true},
		{"10.0.0.1", []string{"198.51.100.7"}, "198.51.100.7", true},
		{"10.0.0.1:99", []string{"198.51.100.7:1234"}, "198.51.100.7:1234", true},
		{"10.0.0.1:99", []string{"1.1.1.1, 198.51.100.7"}, "198.51.100.7", true}, // the client invented the first
		{"10.0.0.1:99", []string{"1.1.1.1", "198.51.100.7"}, "198.51.100.7", true},
		{"10.0.0.1:99", []string{"198.51.100.7", "10.9.9.9 , 10.8.8.8"}, "198.51.100.7", true},
		{"10.0.0.1:99", []string{"198.51.100.7, unknown"}, "10.0.0.1:99", true},
		{"10.0.0.1:99", []string{"198.51.100.7, 10.9.9.9, _x"}, "10.0.0.1:99", true},
		{"10.0.0.1:99", []string{"198.51.100.7, _x, 10.9.9.9"}, "10.9.9.9", true},
		{"10.0.0.1:99", []string{""}, "10.0.0.1:99", true},
		{"10.0.0.1:99", []string{"10.1.1.1,10.2.2.2"}, "10.1.1.1", true},
		{"10.0.0.1:99", []string{strings.Repeat("198.51.100.7,", 9) + strings.Repeat("10.0.0.9,", 99) + "10.0.0.9"},
			"10.0.0.9", true}, // the hops are bounded
		{"[::ffff:10.0.0.1]:99", []string{"::ffff:198.51.100.7"}, "198.51.100.7", true},
		{"[fd00::1]:99", []string{"[2001:db8::1]:80"}, "[2001:db8::1]:80", true},
		{"[fd00::1]:99", []string{"2001:db8::1"}, "2001:db8::1", true},
		{"[fe80::1%eth0]:99", []string{"198.51.100.7"}, "[fe80::1%eth0]:99", false},
		{"@", []string{"198.51.100.7"}, "@", false},
		{"", []string{"198.51.100.7"}, "", false},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		seen := forwarded.WithClient(r, trusted)
		require.Equal(t, c.remote, r.RemoteAddr, "the request of the caller is not changed")
		require.Equal(t, c.want, seen.RemoteAddr, "%+v", c)
		require.Equal(t, c.proxy, forwarded.FromProxy(r, trusted), "%+v", c)
		require.Equal(t, c.proxy, forwarded.FromProxy(seen, trusted), "%+v", c)

		client, ok := forwarded.Client(r, trusted)
		again, _ := forwarded.Client(seen, nil)
		require.Equal(t, client, again, "the client of the handler is that of the request")
		require.Equal(t, ok, client.IsValid(), "%+v", c)
		// A second handler finds nothing more, whatever it trusts.
		everybody := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
		if seen != r {
			require.Equal(t, c.want, forwarded.WithClient(seen, everybody).RemoteAddr, "%+v", c)
		}
	}
}
