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
	"github.com/registrykit/registry/storage/memory"
)

// TestGivesUpSlowly checks that a receiver that is down for longer than GiveUp is not called all the
// time.
func TestGivesUpSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last time.Time
		tooSoon := false
		sink := notification.BatchFunc(func(context.Context, []notification.Event) error {
			tooSoon = tooSoon || time.Since(last) < 90*time.Millisecond
			last = time.Now()
			return errors.New("down")
		})
		o := newOutbox(t, memory.New(nil), &outbox.Options{GiveUp: 2 * time.Hour},
			outbox.Destination{Name: "hook", Sink: sink})
		stop := run(t, o)
		for i := range 500 {
			require.NoError(t, o.Notify(t.Context(), []notification.Event{push("app", fmt.Sprint(i))}))
		}
		time.Sleep(time.Hour)
		var events []notification.Event
		for i := range 200 {
			events = append(events, push("app", fmt.Sprint(i)))
		}
		require.NoError(t, o.Notify(t.Context(), events))
		for o.Stats("hook").Pending > 0 {
			time.Sleep(time.Hour)
		}
		require.Equal(t, int64(700), o.Stats("hook").Dropped)
		letters := 0
		for _, err := range o.DeadLetters(t.Context(), "hook") {
			require.NoError(t, err)
			letters++
		}
		require.Equal(t, 700, letters)
		require.False(t, tooSoon)
		stop()
	})
}
