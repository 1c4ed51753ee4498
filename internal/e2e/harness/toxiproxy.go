package harness

import (
	"net"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"
	"github.com/stretchr/testify/require"
)

// NewToxiproxy starts toxiproxy in front of a server at addr. It ends with the test. The test adds
// faults ("toxics") to the returned proxy.
func NewToxiproxy(t *testing.T, addr string) *toxiproxy.Proxy {
	t.Helper()
	control, err := FreeAddr()
	require.NoError(t, err)
	host, port, err := net.SplitHostPort(control)
	require.NoError(t, err)
	c := toxiproxy.NewClient(control)
	Daemon(t, func() error { _, err := c.Proxies(); return err }, "toxiproxy-server", "-host", host, "-port", port)
	p, err := c.CreateProxy("store", "127.0.0.1:0", addr)
	require.NoError(t, err)
	return p
}
