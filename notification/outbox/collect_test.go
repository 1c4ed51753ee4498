package outbox_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// TestCollectionsLeaveEventsAlone checks that a garbage collection of the same storage changes nothing
// of the outbox, however old it is.
func TestCollectionsLeaveEventsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		s, err := storage.New(t.Context(), d, nil)
		require.NoError(t, err)
		o := newOutbox(t, d, nil, outbox.Destination{Name: "hook", Sink: &inbox{}})
		require.NoError(t, o.Notify(t.Context(), []notification.Event{push("app", "v1")}))
		objects := func() (all []driver.Info) {
			for info, err := range d.List(t.Context(), "e/", nil) {
				require.NoError(t, err)
				all = append(all, info)
			}
			return all
		}
		before := objects()
		require.Len(t, before, 2, "a batch and a cursor")
		time.Sleep(365 * 24 * time.Hour)
		_, err = s.Collect(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, before, objects())
	})
}
