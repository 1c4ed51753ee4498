package gc

import (
	"errors"
	"fmt"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

// TestListSnapshot checks that another look shows what is new or changed, with its neighbours, and
// no own changes. It shows each object once.
func TestListSnapshot(t *testing.T) {
	const n = 10_000
	objects := map[int]string{}
	for i := range n {
		objects[i] = "v"
	}
	list := func() iter.Seq2[driver.Info, error] {
		return func(yield func(driver.Info, error) bool) {
			for i := range n + 10 {
				if v, ok := objects[i]; ok && !yield(driver.Info{Key: fmt.Sprintf("k/%06d", i), Version: v}, nil) {
					return
				}
			}
		}
	}
	l := newListSnapshot()
	look := func() map[string]listed {
		seen := map[string]listed{}
		for some, err := range l.changes(list()) {
			require.NoError(t, err)
			for _, f := range some {
				require.NotContains(t, seen, f.Key)
				seen[f.Key] = f
			}
		}
		return seen
	}
	first := look()
	require.Len(t, first, n)
	require.Empty(t, look())
	require.Less(t, len(l.sums), n/snapshotBlock*2)

	objects[5000], objects[n+5] = "w", "new"
	delete(objects, 7000)
	seen := look()
	require.Contains(t, seen, "k/005000")
	require.Contains(t, seen, fmt.Sprintf("k/%06d", n+5))
	require.Less(t, len(seen), n/4)
	require.Empty(t, look())

	// Own changes. A removed object must not be the first of a block, because its removal would
	// change where the list is cut.
	objects[100] = "x"
	l.replace(first["k/000100"], "x")
	name := func(i int) string { return fmt.Sprintf("k/%06d", i) }
	removed := 200
	for first[name(removed)].block != first[name(removed-1)].block {
		removed++
	}
	delete(objects, removed)
	l.replace(first[name(removed)], "")
	_, again := look()["k/000100"]
	require.False(t, again)

	broken := errors.New("broken")
	for _, err := range l.changes(func(yield func(driver.Info, error) bool) { yield(driver.Info{}, broken) }) {
		require.ErrorIs(t, err, broken)
	}
}
