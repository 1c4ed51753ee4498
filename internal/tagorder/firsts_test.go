package tagorder_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/tagorder"
)

// TestFirsts: the collection has what the sorted list begins with, whatever order the list has.
func TestFirsts(t *testing.T) {
	for _, n := range []int{0, 1, 50, 51, 511, 512, 3000} {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("v%d.%d", i%17, i))
		}
		want := slices.SortedFunc(slices.Values(all), tagorder.Compare)
		want = want[:min(n, 51)]
		for range 5 {
			require.ElementsMatch(t, want, firstOf(all, 51, tagorder.Compare))
			require.True(t, slices.IsSortedFunc(firstOf(all, 51, tagorder.Compare), tagorder.Compare))
			rand.Shuffle(n, func(i, j int) { all[i], all[j] = all[j], all[i] })
		}
	}
}

func firstOf(all []string, limit int, compare func(x, y string) int) []string {
	f := tagorder.NewFirsts(limit, compare)
	for _, tag := range all {
		if f.Wants(tag) {
			f.Add(tag)
		}
	}
	return f.Sorted()
}

func BenchmarkFirsts(b *testing.B) {
	var all []string
	for i := range 100_000 {
		all = append(all, fmt.Sprintf("v%d.%d.%d", i/5000, i/50%100, i%50))
	}
	slices.Sort(all)
	for name, order := range map[string]int{"newest": 1, "oldest": -1} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				firstOf(all, 51, func(x, y string) int { return order * tagorder.Compare(x, y) })
			}
		})
	}
}
