package gc

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBloom checks that a set has everything that was added, and claims little else. Beyond its
// limit, the set claims more, and still has everything.
func TestBloom(t *testing.T) {
	for _, c := range []struct{ limit, claims int }{{1 << 20, 20}, {1 << 10, 100_000}} {
		b := newBloom(c.limit)
		require.False(t, b.has("x"))
		for i := range 100_000 {
			b.add("k/" + fmt.Sprint(i))
		}
		claimed := 0
		for i := range 100_000 {
			require.True(t, b.has("k/"+fmt.Sprint(i)))
			if b.has("k/"+fmt.Sprint(-1-i)) || b.has("k"+fmt.Sprint(i)) {
				claimed++
			}
		}
		require.LessOrEqual(t, claimed, c.claims)
		require.LessOrEqual(t, 8*b.words, max(c.limit, bloomSmallest*bloomBits/8))
	}
}
