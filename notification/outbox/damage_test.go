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

// TestCursorDisappears checks that the events of a live stream arrive although somebody has removed
// its cursor, or everything that the outbox has stored, also after the process has stopped.
func TestCursorDisappears(t *testing.T) {
	for _, prefix := range []string{"e/c/", "e/"} {
		t.Run(prefix, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, in := memory.New(nil), &inbox{}
				o := newOutbox(t, d, nil, outbox.Destination{Name: "hook", Sink: in})
				stop := run(t, o)
				require.NoError(t, o.Notify(t.Context(), []notification.Event{push("app", "v0")}))
				time.Sleep(2 * time.Second)
				for info, err := range d.List(t.Context(), prefix, nil) {
					require.NoError(t, err)
					require.NoError(t, d.Delete(t.Context(), info.Key, ""))
				}
				for i := range 3 {
					require.NoError(t, o.Notify(t.Context(), []notification.Event{push("app", fmt.Sprint("v", i+1))}))
					time.Sleep(2 * time.Second)
				}
				time.Sleep(time.Minute)
				require.Len(t, in.all(), 4)
				stop()
				second := newOutbox(t, d, nil, outbox.Destination{Name: "hook", Sink: in})
				stop = run(t, second)
				require.NoError(t, second.Notify(t.Context(), []notification.Event{push("app", "v4")}))
				time.Sleep(time.Minute)
				require.Len(t, in.all(), 5)
				stop()
			})
		})
	}
}
