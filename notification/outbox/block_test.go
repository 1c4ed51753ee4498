package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/storage/memory"
)

// TestBlockGoesOn checks that Notify and the deliveries do not wait for each other's locks.
func TestBlockGoesOn(t *testing.T) {
	var sinks []outbox.Destination
	for i := range 64 {
		sinks = append(sinks, outbox.Destination{Name: fmt.Sprint("s", i), Sink: &inbox{}})
	}
	o := newOutbox(t, memory.New(nil), &outbox.Options{Block: true, Lease: time.Second}, sinks...)
	run(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
	defer cancel()
	var calls atomic.Int64
	for range 8 {
		go func() {
			for ctx.Err() == nil {
				_ = o.Notify(ctx, []notification.Event{push("app", "v1")})
				calls.Add(1)
			}
		}()
	}
	for before := int64(-1); ctx.Err() == nil; {
		time.Sleep(1500 * time.Millisecond)
		now := calls.Load()
		require.Greater(t, now, before, "Notify hangs")
		before = now
	}
}

// TestBlockDropsNothing checks that events over the limit, which were accepted at once, are kept.
func TestBlockDropsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{fail: func(notification.Event) error { return errors.New("down") }}
		o := newOutbox(t, memory.New(nil), &outbox.Options{MaxEvents: 3, Block: true},
			outbox.Destination{Name: "hook", Sink: in})
		stop := run(t, o)
		var events []notification.Event
		for i := range 10 {
			events = append(events, push("app", fmt.Sprint(i)))
		}
		require.NoError(t, o.Notify(t.Context(), events[:2]))
		require.NoError(t, o.Notify(t.Context(), events[2:]))
		time.Sleep(time.Minute)
		in.mu.Lock()
		in.fail = nil
		in.mu.Unlock()
		time.Sleep(time.Hour)
		require.Len(t, in.all(), 10)
		require.Zero(t, o.Stats("hook").Dropped)
		stop()
	})
}

// TestBlockIgnoresDisabled checks that a receiver that wants no more events does not stop pushes.
func TestBlockIgnoresDisabled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{fail: func(notification.Event) error { return notification.ErrGone }}
		o := newOutbox(t, memory.New(nil), &outbox.Options{MaxEvents: 3, Block: true},
			outbox.Destination{Name: "hook", Sink: in})
		stop := run(t, o)
		for range 10 {
			require.NoError(t, o.Notify(t.Context(), []notification.Event{push("app", "v1")}))
			time.Sleep(time.Minute)
		}
		require.NotZero(t, o.Stats("hook").Dropped)
		stop()
	})
}
