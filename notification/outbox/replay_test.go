package outbox_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/storage/memory"
)

// TestReplayTwice checks that two replicas may replay all dead letters at once.
func TestReplayTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		refuse := &inbox{fail: func(notification.Event) error { return notification.ErrRefused }}
		o := newOutbox(t, d, nil, outbox.Destination{Name: "hook", Sink: refuse})
		stop := run(t, o)
		for i := range 5 {
			require.NoError(t, o.Notify(t.Context(), []notification.Event{push("app", fmt.Sprint(i))}))
		}
		time.Sleep(10 * time.Hour)
		stop()
		in := &inbox{}
		slow := notification.BatchFunc(func(ctx context.Context, events []notification.Event) error {
			time.Sleep(time.Second)
			return in.Notify(ctx, events)
		})
		var all sync.WaitGroup
		for range 2 {
			replica := newOutbox(t, d, nil, outbox.Destination{Name: "hook", Sink: slow})
			all.Go(func() {
				_, err := replica.Replay(t.Context(), "hook")
				require.NoError(t, err)
			})
		}
		all.Wait()
		ids, _ := in.ids()
		require.Len(t, ids, 5)
		_, err := o.Replay(t.Context(), "hook", ids[0])
		require.Error(t, err)
	})
}
