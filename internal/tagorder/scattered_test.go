package tagorder_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/tagorder"
)

// TestScattered: each element is yielded once, and a list that is sorted the other way round costs about as little as
// one in the right order.
func TestScattered(t *testing.T) {
	for _, n := range []int{0, 1, 2, 511, 512, 513, 1024, 1025, 100_000} {
		var list tagorder.Scattered[int]
		for i := range n {
			list.Add(i)
		}
		first := tagorder.NewFirsts(51, func(x, y int) int { return y - x })
		seen, wanted := make([]bool, n), 0
		for i := range list.All() {
			require.False(t, seen[*i])
			seen[*i] = true
			if first.Wants(*i) {
				wanted++
				first.Add(*i)
			}
		}
		require.NotContains(t, seen, false)
		require.LessOrEqual(t, wanted, 12*512)
		require.Len(t, first.Sorted(), min(n, 51))
		if n > 0 {
			require.Equal(t, n-1, first.Sorted()[0])
		}
	}
}
