package token

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCacheBounded: who fetches and uses token after token does not fill the memory, and what is
// used all the time is not forgotten.
func TestCacheBounded(t *testing.T) {
	var c cache
	key := func(i int) (k [sha256.Size]byte) {
		binary.BigEndian.PutUint64(k[:], uint64(i))
		return k
	}
	for i := range 5 * maxVerified {
		c.add(key(i), &verified{})
		require.NotNil(t, c.get(key(0)))
		require.LessOrEqual(t, len(c.young)+len(c.old), 2*maxVerified)
	}
	require.Nil(t, c.get(key(1)))
}
