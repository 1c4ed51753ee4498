package audit_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/audit"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/disk"
)

// TestReplicas: several logs over one storage, each with many writers, lose nothing, while others
// search and one runs the job.
func TestReplicas(t *testing.T) {
	folder := t.TempDir()
	var work sync.WaitGroup
	for replica := range 3 {
		d, err := disk.New(folder, nil)
		require.NoError(t, err)
		l := newLog(t, d, &audit.Options{Instance: fmt.Sprint("r", replica)})
		for writer := range 4 {
			work.Go(func() {
				for i := range 25 {
					id := fmt.Sprintf("%d-%d-%d", replica, writer, i)
					err := l.Notify(t.Context(), []notification.Event{push(id, time.Now(), "ann", "r")})
					require.NoError(t, err)
					l.Decided(t.Context(), denied("bob", "192.0.2.1", fmt.Sprint("x", i)))
				}
				require.NoError(t, l.Flush(t.Context()))
			})
		}
		work.Go(func() {
			for range 5 {
				_ = all(t, l, &audit.Query{Actor: "ann"})
			}
		})
		work.Go(func() { run(t, l) })
	}
	work.Wait()
	d, err := disk.New(folder, nil)
	require.NoError(t, err)
	l := newLog(t, d, nil)
	require.Len(t, all(t, l, &audit.Query{Actor: "ann", Action: "push"}), 300)
	refusals := int64(0)
	for _, r := range all(t, l, &audit.Query{Outcome: audit.Denied}) {
		refusals += max(1, r.Count)
	}
	require.Equal(t, int64(300), refusals)
}
