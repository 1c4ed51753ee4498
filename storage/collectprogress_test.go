package storage_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage"
)

// TestCollectProgressIsNotConcurrent checks that Progress is not called again before it has
// returned.
func TestCollectProgressIsNotConcurrent(t *testing.T) {
	s := newStore(t, newMemory(t), nil)
	for i := range 300 {
		pushBlob(t, s, "r", fmt.Append(nil, i))
	}
	var inside, calls atomic.Int64
	r, err := s.Collect(t.Context(), &storage.CollectOptions{Grace: -1, Rate: 500, Progress: func(storage.CollectReport) {
		if inside.Add(1) > 1 {
			t.Error("Progress is called concurrently")
		}
		time.Sleep(1100 * time.Millisecond)
		inside.Add(-1)
		calls.Add(1)
	}})
	require.NoError(t, err)
	require.EqualValues(t, 300, r.Removed.Blobs)
	require.Greater(t, calls.Load(), int64(3))
}
