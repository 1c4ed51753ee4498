package storage_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver/drivertest"
)

// TestCollectLargeManifestsBoundsMemory checks that a collection that removes large manifests
// holds only some of them in memory at once.
func TestCollectLargeManifestsBoundsMemory(t *testing.T) {
	driver := newMemory(t)
	s := newStore(t, driver, nil)
	config := pushBlob(t, s, "r", []byte("{}"))
	for i := range 6 {
		putImage(t, s, "r", image(fmt.Sprint(i, strings.Repeat(" ", 4<<20)), nil, config), nil)
	}
	var marked, most atomic.Int64
	f := drivertest.NewFaulty(driver, &drivertest.FaultyOptions{After: func(_ context.Context, c drivertest.Call,
		err error) error {
		switch {
		case !strings.HasPrefix(c.Key, "r/r/m/"):
		case c.Op == "Put":
			most.Store(max(most.Load(), marked.Add(1)))
		case c.Op == "Delete":
			marked.Add(-1)
		}
		return err
	}})
	require.EqualValues(t, 6, collected(t, newStore(t, f, nil), untagged).Untagged)
	require.LessOrEqual(t, most.Load(), int64(4))
}
