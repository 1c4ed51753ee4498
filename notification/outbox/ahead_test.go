package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// TestBacklogIsReadAhead checks that events of batches of their own are delivered many at a time
// after an outage. Each read of the storage takes 20 ms and each call of the sink 50 ms: one by one,
// 1,000 events would take 70 seconds.
func TestBacklogIsReadAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		none := outbox.Destination{Name: "hook", Sink: &inbox{}}
		first := newOutbox(t, d, nil, none) // it never runs
		var want []string
		for i := range 1000 {
			e := push("app", fmt.Sprint(i))
			want = append(want, e.ID)
			require.NoError(t, first.Notify(t.Context(), []notification.Event{e}))
		}
		got := &inbox{}
		var begin, end time.Time
		slow := notification.BatchFunc(func(ctx context.Context, events []notification.Event) error {
			if begin.IsZero() {
				begin = time.Now()
			}
			time.Sleep(50 * time.Millisecond)
			end = time.Now()
			return got.Notify(ctx, events)
		})
		stop := run(t, newOutbox(t, drivertest.NewFaulty(d, &drivertest.FaultyOptions{
			Before: func(_ context.Context, call drivertest.Call) error {
				if call.Op == "Open" {
					time.Sleep(20 * time.Millisecond)
				}
				return nil
			}}), nil, outbox.Destination{Name: "hook", Sink: slow}))
		time.Sleep(5 * time.Minute)
		ids, duplicates := got.ids()
		require.Equal(t, want, ids)
		require.Zero(t, duplicates)
		require.Less(t, end.Sub(begin), 10*time.Second)
		stop()
	})
}

// TestPartialDeliveryOverBatches checks that a sink that fails within a call of several batches gets
// each event once, whether it refuses an event or fails for a while.
func TestPartialDeliveryOverBatches(t *testing.T) {
	for name, row := range map[string]struct {
		err  error
		dead bool
	}{"down": {err: errors.New("down")}, "refused": {err: notification.ErrRefused, dead: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := memory.New(nil)
				calls, bad := 0, ""
				hook := &inbox{fail: func(e notification.Event) error {
					if e.ID == bad {
						if calls++; calls < 3 || row.dead {
							return row.err
						}
					}
					return nil
				}}
				o := newOutbox(t, d, &outbox.Options{Batch: 7}, outbox.Destination{Name: "hook", Sink: hook})
				var want []string
				for i := range 40 {
					e := push("app", fmt.Sprint(i))
					if i == 17 {
						bad = e.ID
					}
					if i != 17 || !row.dead {
						want = append(want, e.ID)
					}
					require.NoError(t, o.Notify(t.Context(), []notification.Event{e}))
				}
				stop := run(t, o)
				time.Sleep(time.Hour)
				ids, duplicates := hook.ids()
				require.Equal(t, want, ids)
				require.Zero(t, duplicates)
				dead := 0
				for l, err := range o.DeadLetters(t.Context(), "hook") {
					require.NoError(t, err)
					require.Equal(t, bad, l.Event.ID)
					dead++
				}
				require.Equal(t, row.dead, dead == 1)
				stop()
			})
		})
	}
}
