package forwarded_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/forwarded"
)

func TestConfidential(t *testing.T) {
	for name, row := range map[string]struct {
		peer, host, proto, chain string
		tls, want                bool
	}{
		"TLS":                                {peer: "192.0.2.1:1", host: "hub.example", tls: true, want: true},
		"plain":                              {peer: "192.0.2.1:1", host: "hub.example"},
		"plain to a loopback name":           {peer: "127.0.0.1:1", host: "localhost:5000", want: true},
		"plain to a loopback address":        {peer: "127.0.0.1:1", host: "[::1]:5000", want: true},
		"a proxy that is not trusted":        {peer: "192.0.2.1:1", host: "hub.example", proto: "https"},
		"an unknown proxy to loopback":       {peer: "127.0.0.1:1", host: "127.0.0.1:5000", chain: "192.0.2.7"},
		"an unknown proxy with a scheme":     {peer: "127.0.0.1:1", host: "127.0.0.1:5000", proto: "https"},
		"a trusted proxy with TLS":           {peer: "10.0.0.1:1", host: "hub.example", proto: "https", want: true},
		"a trusted proxy without TLS":        {peer: "10.0.0.1:1", host: "hub.example", proto: "http"},
		"a trusted proxy that says nothing":  {peer: "10.0.0.1:1", host: "hub.example"},
		"two proxies, one without TLS":       {peer: "10.0.0.1:1", host: "hub.example", proto: "http, https"},
		"two proxies with TLS":               {peer: "10.0.0.1:1", host: "hub.example", proto: "https, HTTPS", want: true},
		"TLS from a proxy, but not to it":    {peer: "10.0.0.1:1", host: "hub.example", proto: "http", tls: true},
		"TLS from a proxy that says nothing": {peer: "10.0.0.1:1", host: "hub.example", tls: true, want: true},
		"a trusted proxy that names a client": {peer: "10.0.0.1:1", host: "hub.example", proto: "https", chain: "192.0.2.7",
			want: true},
	} {
		r := httptest.NewRequest(http.MethodGet, "http://"+row.host+"/", nil)
		r.RemoteAddr = row.peer
		if row.tls {
			r.TLS = &tls.ConnectionState{}
		}
		if row.proto != "" {
			r.Header.Set("X-Forwarded-Proto", row.proto)
		}
		if row.chain != "" {
			r.Header.Set("X-Forwarded-For", row.chain)
		}
		require.Equal(t, row.want, forwarded.Confidential(r, trusted), name)
		require.Equal(t, row.want, forwarded.Confidential(forwarded.WithClient(r, trusted), nil), name)
		require.Equal(t, row.tls || row.want && row.proto == "",
			forwarded.Confidential(r, []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}), name)
	}
}
