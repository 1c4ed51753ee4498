package token

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCacheBounded adds more tokens than the cache may hold. Its size stays within the limit, and a
// token that is in use is not forgotten.
func TestCacheBounded(t *testing.T) {
	c := newCache()
	key := func(i int) (k [sha256.Size]byte) {
		binary.BigEndian.PutUint64(k[:], uint64(i))
		return k
	}
	for i := range 5 * maxVerified / 2 {
		c.Add(key(i), &verified{}, 1)
		_, ok := c.Get(key(0))
		require.True(t, ok)
		require.LessOrEqual(t, c.Len(), maxVerified)
	}
	_, ok := c.Get(key(1))
	require.False(t, ok)
}
