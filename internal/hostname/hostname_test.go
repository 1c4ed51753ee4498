package hostname

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:5000": true, "LocalHost:5000": true, "127.0.0.1": true, "127.9.9.9:1": true,
		"[::1]": true, "[::1]:5000": true, "::1": true,
		"[::ffff:127.0.0.1]:5000": true,
		"":                        false, ":5000": false, "5000": false, "localhost.evil.example": false,
		"evil.localhost.example:80": false, "127.0.0.1.evil.example": false,
		"0.0.0.0:5000": false, "[::]:5000": false, "192.0.2.1": false, "127.1": false, "2130706433": false, "0x7f.1": false,
		"localhost\x00": false, "localhost:1:2": false,
	} {
		require.Equal(t, want, Loopback(host), host)
	}
	require.Equal(t, "registry.example", Split("Registry.Example:443"))
	require.Equal(t, "2001:db8::1", Split("[2001:DB8::1]:443"))
}
