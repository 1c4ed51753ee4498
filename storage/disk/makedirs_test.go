//go:build linux || darwin

package disk

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDirectoriesAreMadeOnce: Drivers that make the same directories at the same time all succeed,
// and leave nothing in tmp/.
func TestDirectoriesAreMadeOnce(t *testing.T) {
	dir := t.TempDir()
	drivers := []*Driver{newDriver(t, dir, nil), newDriver(t, dir, nil)}
	for round := range 20 {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				key := fmt.Sprintf("a/%d/b/c/d/%d", round, i)
				if _, err := drivers[i%2].Put(t.Context(), key, strings.NewReader(key), nil); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	n := 0
	for _, err := range drivers[0].List(t.Context(), "a/", nil) {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, 160, n)
	for _, d := range drivers {
		left, err := os.ReadDir(d.temp)
		require.NoError(t, err)
		require.Empty(t, left)
	}
}

// TestNewDirectoryIsLaterThanTheOneBefore: changes in a directory that was made again have greater
// numbers than those in the directory before, whatever the clock has done since.
func TestNewDirectoryIsLaterThanTheOneBefore(t *testing.T) {
	d := newDriver(t, t.TempDir(), nil)
	future := d.now() + int64(1e15)
	d.clock.Store(future)
	put(t, d, "a/b/c/one", "", nil)
	require.NoError(t, d.Delete(t.Context(), "a/b/c/one", ""))
	require.NoDirExists(t, d.objects+"a/b/c")
	d.clock.Store(0) // the clock has gone back
	put(t, d, "a/b/c/one", "", nil)
	var st syscall.Stat_t
	require.NoError(t, d.object("a/b/c/one", &st))
	require.Greater(t, mtime(&st), future)
}
