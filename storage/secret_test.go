package storage_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// TestSharedSecret checks that replicas that ask at the same time get the same secret, and that
// a new secret replaces one that was removed.
func TestSharedSecret(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		one, two := newStore(t, d, nil), newStore(t, d, nil)
		got := make([][]byte, 8)
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() { got[i], _ = []*storage.Store{one, two}[i%2].SharedSecret(t.Context(), "token-1") })
		}
		wg.Wait()
		for _, secret := range got {
			require.Len(t, secret, 32)
			require.Equal(t, got[0], secret)
		}
		other, err := two.SharedSecret(t.Context(), "token-2")
		require.NoError(t, err)
		require.NotEqual(t, got[0], other)

		require.NoError(t, one.RemoveSharedSecret(t.Context(), "token-1"))
		require.NoError(t, one.RemoveSharedSecret(t.Context(), "token-1"))
		again, err := two.SharedSecret(t.Context(), "token-1")
		require.NoError(t, err)
		require.NotEqual(t, got[0], again)

		for _, name := range []string{"", "upload", "A", "a/b", "..", "a.b", strings.Repeat("a", 65)} {
			_, err := one.SharedSecret(t.Context(), name)
			require.Error(t, err, name)
			require.Error(t, one.RemoveSharedSecret(t.Context(), name), name)
		}
	})
}
