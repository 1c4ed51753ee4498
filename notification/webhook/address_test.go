package webhook_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification/webhook"
)

func TestAddresses(t *testing.T) {
	for _, text := range []string{
		// Loopback, private, link-local, unspecified, multicast, broadcast.
		"127.0.0.1", "127.255.255.254", "::1", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1",
		"fd12:3456::1", "169.254.0.1", "fe80::1", "fe80::1%eth0", "0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "239.1.2.3",
		"ff02::1", "255.255.255.255", "240.0.0.1",
		// Metadata of clouds.
		"169.254.169.254", "169.254.170.2", "fd00:ec2::254", "fd20:ce::254", "168.63.129.16", "100.100.100.200",
		"192.0.0.192",
		// Carrier-grade NAT, benchmarks, documentation, reserved.
		"100.64.0.1", "100.127.255.255", "198.18.0.1", "198.19.255.255", "192.0.2.1", "198.51.100.7", "203.0.113.9",
		"192.88.99.1", "2001:db8::1", "3fff::1", "100::1", "5f00::1", "fec0::1", "4000::1",
		// IPv4 within IPv6.
		"::ffff:127.0.0.1", "::ffff:10.1.2.3", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::127.0.0.1",
		"64:ff9b::a9fe:a9fe", "64:ff9b::10.0.0.1", "64:ff9b:1::8.8.8.8", "2002:7f00:1::1", "2002:a9fe:a9fe::",
		"2002:808:808::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "::ffff:0:127.0.0.1",
	} {
		require.ErrorIs(t, webhook.CheckAddress(netip.MustParseAddr(text)), webhook.ErrAddress, text)
	}
	for _, text := range []string{"8.8.8.8", "1.1.1.1", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1",
		"192.0.1.1", "169.253.1.1", "223.255.255.255", "2001:4860:4860::8888", "2606:4700::1111", "2a00:1450::1",
		"::ffff:8.8.8.8", "64:ff9b::8.8.8.8"} {
		require.NoError(t, webhook.CheckAddress(netip.MustParseAddr(text)), text)
	}
	ten, six := netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")
	require.NoError(t, webhook.CheckAddress(netip.MustParseAddr("10.1.2.3"), ten, six))
	require.NoError(t, webhook.CheckAddress(netip.MustParseAddr("::ffff:10.1.2.3"), ten, six))
	require.NoError(t, webhook.CheckAddress(netip.MustParseAddr("fd00::1"), ten, six))
	require.ErrorIs(t, webhook.CheckAddress(netip.MustParseAddr("10.2.2.3"), ten, six), webhook.ErrAddress)
}

// TestForbiddenReceivers: no request reaches a receiver on loopback, however the URL is written.
func TestForbiddenReceivers(t *testing.T) {
	server := newReceiver(t, nil)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "127.1", "2130706433",
		"0x7f.1", "0177.0.0.1", "LOCALHOST.", "127.0.0.1."} {
		w, err := webhook.New("http://"+host+":"+port+"/", nil)
		require.NoError(t, err)
		require.Error(t, w.Notify(t.Context(), pushes(1)), host)
	}
	require.Empty(t, server.all())
	w, err := webhook.New(server.URL, nil)
	require.NoError(t, err)
	require.ErrorIs(t, w.Notify(t.Context(), pushes(1)), webhook.ErrAddress)
	require.EqualError(t, w.Notify(t.Context(), pushes(1)),
		"webhook: "+server.URL+": dial tcp "+server.Listener.Addr().String()+": "+
			"webhook: the address is not allowed: 127.0.0.1")

	prefixes := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	w, err = webhook.New(server.URL, &webhook.Options{AllowPrefixes: prefixes})
	require.NoError(t, err)
	require.NoError(t, w.Notify(t.Context(), pushes(1)))
	w.CloseIdleConnections()
}

// TestRebinding: a name that first resolves to an allowed address, and then to one that is not, does
// not lead there.
func TestRebinding(t *testing.T) {
	server := newReceiver(t, nil)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	allowed, forbidden := [4]byte{127, 0, 0, 1}, [4]byte{127, 0, 0, 2}
	var address atomic.Value
	address.Store(allowed)
	w, err := webhook.New("http://rebind.example:"+port, &webhook.Options{
		AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
	})
	require.NoError(t, err)
	webhook.SetResolver(w, resolver(t, func() [4]byte { return address.Load().([4]byte) }))
	require.NoError(t, w.Notify(t.Context(), pushes(1)))
	w.CloseIdleConnections() // the next request resolves the name again
	address.Store(forbidden)
	require.ErrorIs(t, w.Notify(t.Context(), pushes(1)), webhook.ErrAddress)
	address.Store(allowed)
	require.NoError(t, w.Notify(t.Context(), pushes(1)))
	require.Len(t, server.all(), 2)
	w.CloseIdleConnections()
}

// resolver asks a DNS server on loopback, which answers every question about an IPv4 address with
// what address returns.
func resolver(t *testing.T, address func() [4]byte) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	go func() {
		query := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(query)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(dnsAnswer(query[:n], address()), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// dnsAnswer answers a question of a DNS message, RFC 1035.
func dnsAnswer(query []byte, address [4]byte) []byte {
	end := 12 // of the name
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	question := query[12 : end+5]
	answer := append([]byte{}, query[:2]...)
	answer = append(answer, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0)
	answer = append(answer, question...)
	if binary.BigEndian.Uint16(query[end+1:]) == 1 { // an A record
		answer[7] = 1
		answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		answer = append(answer, address[:]...)
	}
	return answer
}

// TestProxies: only the proxy of the options is used, and never one of the environment.
func TestProxies(t *testing.T) {
	var proxied atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Host == "ci.example" {
			proxied.Add(1)
		}
	}))
	t.Cleanup(proxy.Close)
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	server := newReceiver(t, nil)
	require.NoError(t, local(t, server.URL, nil).Notify(t.Context(), pushes(1)))
	require.Zero(t, proxied.Load())

	u, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	w, err := webhook.New("http://ci.example/hook", &webhook.Options{Proxy: u})
	require.NoError(t, err)
	require.NoError(t, w.Notify(t.Context(), pushes(1)))
	require.EqualValues(t, 1, proxied.Load())
	w.CloseIdleConnections()
	for _, host := range []string{"127.0.0.1", "[::1]", "169.254.169.254"} {
		_, err = webhook.New("http://"+host, &webhook.Options{Proxy: u})
		require.ErrorIs(t, err, webhook.ErrAddress)
	}
}

// TestTLS: HTTP/2 is used where the receiver has it, and an unknown authority is an error.
func TestTLS(t *testing.T) {
	var protocols []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		protocols = append(protocols, r.Proto)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	err := local(t, server.URL, nil).Notify(t.Context(), pushes(1))
	require.ErrorContains(t, err, "certificate")
	require.False(t, errors.Is(err, webhook.ErrAddress))
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	w := local(t, server.URL, &webhook.Options{TLS: &tls.Config{RootCAs: pool}})
	for range 3 {
		require.NoError(t, w.Notify(t.Context(), pushes(1)))
	}
	require.Equal(t, []string{"HTTP/2.0", "HTTP/2.0", "HTTP/2.0"}, protocols)
}
