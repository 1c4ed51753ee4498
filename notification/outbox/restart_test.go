package outbox_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/storage/memory"
)

// TestRestartKeepsTheOrder checks that the events of a process that has ended arrive before those of
// the next one, although these are stored before its first scan. The order counts for each sink: one
// whose receiver is down does not delay the other.
func TestRestartKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		fails := errors.New("down")
		fail := func(notification.Event) error { return fails }
		up, down := &inbox{fail: fail}, &inbox{fail: fail}
		sinks := []outbox.Destination{{Name: "up", Sink: up}, {Name: "down", Sink: down}}
		var want []string
		for process := range 3 {
			o := newOutbox(t, d, nil, sinks...)
			notify := func(n int) {
				for i := range n {
					e := push("app", fmt.Sprint(process, i))
					want = append(want, e.ID)
					require.NoError(t, o.Notify(t.Context(), []notification.Event{e}))
				}
			}
			notify(20)
			if process == 2 {
				up.mu.Lock()
				up.fail = nil
				up.mu.Unlock()
			}
			stop := run(t, o)
			time.Sleep(time.Second)
			notify(20)
			time.Sleep(10 * time.Second)
			if process == 2 {
				time.Sleep(time.Minute)
			}
			stop()
		}
		got, duplicates := up.ids()
		require.Equal(t, want, got)
		require.Zero(t, duplicates)
		got, _ = down.ids()
		require.Empty(t, got)
	})
}
