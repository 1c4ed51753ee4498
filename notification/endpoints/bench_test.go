package endpoints_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/endpoints"
	"github.com/registrykit/registry/storage/disk"
)

// many returns endpoints on a disk: n of them, each of a namespace of its own.
func many(b *testing.B, n int) *endpoints.Endpoints {
	b.Helper()
	d, err := disk.New(b.TempDir(), nil)
	require.NoError(b, err)
	p, err := endpoints.New(d, nil)
	require.NoError(b, err)
	for i := range n {
		_, _, err := p.Create(b.Context(), "ann", endpoints.Scope{Namespace: fmt.Sprintf("n%d", i)},
			endpoints.Settings{Name: "x", URL: auth.Secret(fmt.Sprintf("https://h%d/", i))})
		require.NoError(b, err)
		if i%1000 == 0 { // otherwise the first Create lists all
			require.NoError(b, p.Notify(b.Context(), []notification.Event{push("other/app", "v1")}))
		}
	}
	return p
}

// BenchmarkNotify measures the copy of one event for one endpoint among many, on a disk.
func BenchmarkNotify(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := many(b, n)
			for b.Loop() {
				require.NoError(b, p.Notify(b.Context(), []notification.Event{push("n0/app", "v1")}))
			}
		})
	}
}

// BenchmarkPage measures a page of 100 endpoints among 1000, on a disk.
func BenchmarkPage(b *testing.B) {
	p := many(b, 1000)
	for b.Loop() {
		n := 0
		for _, err := range p.All(b.Context(), "") {
			require.NoError(b, err)
			if n++; n == 100 {
				break
			}
		}
	}
}
