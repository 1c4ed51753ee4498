package serve

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAccessCheck: nothing is open to other machines by oversight.
func TestAccessCheck(t *testing.T) {
	for _, row := range []struct {
		addr   string
		access access
		ok     bool
	}{
		{"127.0.0.1:5000", access{}, true},
		{"127.9.9.9:5000", access{}, true},
		{"[::1]:5000", access{}, true},
		{"localhost:5000", access{}, true},
		{":5000", access{}, false},
		{"0.0.0.0:5000", access{}, false},
		{"[::]:5000", access{}, false},
		{"192.0.2.1:5000", access{}, false},
		{"registry.example:5000", access{}, false},
		{"localhost.example:5000", access{}, false},
		{"5000", access{}, false},
		{":5000", access{insecureOpen: true}, true},
		{":5000", access{tlsCert: "c", tlsKey: "k"}, false},
		{":5000", access{tlsCert: "c", tlsKey: "k", insecureOpen: true}, true},
		{"127.0.0.1:5000", access{tlsCert: "c"}, false},
		{"127.0.0.1:5000", access{tlsKey: "k"}, false},
	} {
		err := row.access.check(row.addr)
		require.Equal(t, row.ok, err == nil, "%s %+v: %v", row.addr, row.access, err)
	}
}
