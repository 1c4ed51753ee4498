//go:build linux || darwin

package disk

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSortEntries compares sortEntries with slices.Sort.
func TestSortEntries(t *testing.T) {
	const letters = "ab0-~"
	text := func(most int) string {
		b := make([]byte, rand.IntN(most)+1)
		for i := range b {
			b[i] = letters[rand.IntN(len(letters))]
		}
		return string(b)
	}
	for _, make := range []func(i int) string{
		func(i int) string { return fmt.Sprintf("u%06d", i*7919%100_003) },
		func(int) string { return text(3) },
		func(int) string { return text(20) },
		func(int) string { return "the-same-beginning-" + text(12) },
		func(int) string { return "equal" },
		func(i int) string { return "directory" + fmt.Sprint(i%50) + "/" },
	} {
		for _, n := range []int{0, 1, 2, minRadix - 1, minRadix, 5000} {
			var entries []string
			for i := range n {
				entries = append(entries, make(i))
			}
			want := slices.Sorted(slices.Values(entries))
			sortEntries(entries)
			require.Equal(t, want, entries)
		}
	}
}
