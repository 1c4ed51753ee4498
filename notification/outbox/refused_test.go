package outbox_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/storage/memory"
)

// TestRefusedIsGivenUpInTime checks that the pauses between attempts do not exceed the time after
// which a refused event becomes a dead letter.
func TestRefusedIsGivenUpInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{fail: func(e notification.Event) error {
			if e.Repository == "bad" {
				return fmt.Errorf("status 400: %w", notification.ErrRefused)
			}
			return nil
		}}
		o := newOutbox(t, memory.New(nil), nil, outbox.Destination{Name: "hook", Sink: in})
		stop := run(t, o)
		require.NoError(t, o.Notify(t.Context(), []notification.Event{push("bad", "v1"), push("app", "v1")}))
		time.Sleep(14 * time.Minute)
		require.Empty(t, in.all())
		time.Sleep(2 * time.Minute)
		require.Len(t, in.all(), 1)
		require.Equal(t, int64(1), o.Stats("hook").Dropped)
		stop()
	})
}
