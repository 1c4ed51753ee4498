//go:build linux || darwin

package disk

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestClockJumpsBack: after the clock has jumped back by an hour, objects become durable by the
// journal as before, with at most one more wait.
func TestClockJumpsBack(t *testing.T) {
	dir := t.TempDir()
	d := newDriver(t, dir, nil)
	d.clock.Store(time.Now().Add(time.Hour).UnixNano())
	for _, key := range []string{"a/b/one", "a/b/two", "a/b/three"} {
		put(t, d, key, "1", nil)
	}
	kill(d)
	d = newDriver(t, dir, nil)
	put(t, d, "x/y/first", "1", nil)
	r, n := recordSyncs(d), journalSyncs(d)
	for range 3 {
		put(t, d, "a/b/one", "2", nil)
		require.LessOrEqual(t, n.Swap(0), int64(3))
		put(t, d, "a/b/two", "2", deferred)
		require.LessOrEqual(t, n.Swap(0), int64(2))
		put(t, d, "a/b/new", "2", nil)
		require.LessOrEqual(t, n.Swap(0), int64(3))
		require.NoError(t, d.Delete(t.Context(), "a/b/new", ""))
	}
	require.Empty(t, r.paths, "the journal has everything")
	require.NoError(t, d.Delete(t.Context(), "a/b/three", ""))
	kill(d)
	d = newDriver(t, dir, nil)
	require.Equal(t, "2", read(t, d, "a/b/one"))
	require.Equal(t, "2", read(t, d, "a/b/two"))
	require.Equal(t, "", read(t, d, "a/b/three"))
	require.Equal(t, "", read(t, d, "a/b/new"))
}
