package object

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestKeyLocks checks that a lock excludes others on the same key, that a caller may give up
// waiting, and that released locks take no memory.
func TestKeyLocks(t *testing.T) {
	locks := &keyLocks{keys: map[string]*keyLock{}}
	var wg sync.WaitGroup
	counts := map[string]*int{"a": new(int), "b": new(int)} // the race detector reports two writers at a time
	for _, key := range []string{"a", "b", "a", "b", "a"} {
		wg.Go(func() {
			for range 100 {
				unlock, err := locks.lock(t.Context(), key)
				assert.NoError(t, err)
				*counts[key]++
				unlock()
			}
		})
	}
	wg.Wait()
	require.Equal(t, 300, *counts["a"])
	require.Equal(t, 200, *counts["b"])

	unlock, err := locks.lock(t.Context(), "a")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = locks.lock(ctx, "a")
	require.ErrorIs(t, err, context.Canceled)
	unlock()
	require.Empty(t, locks.keys)
}
