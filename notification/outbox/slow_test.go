package outbox_test

import (
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

// TestTrimKeepsLease checks that a process does not lose its stream while it removes many batches.
func TestTrimKeepsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory.New(nil)
		d := &hooked{Driver: m, beforeDelete: func(string) { time.Sleep(50 * time.Millisecond) }}
		opts := &outbox.Options{Keep: time.Hour}
		other := newOutbox(t, m, opts, outbox.Destination{Name: "hook", Sink: &inbox{}})
		stopOther := run(t, other)
		o := newOutbox(t, d, opts, outbox.Destination{Name: "hook", Sink: &inbox{}})
		stop := run(t, o)
		for i := range 2000 {
			require.NoError(t, o.Notify(t.Context(), []notification.Event{push("app", fmt.Sprint(i))}))
		}
		time.Sleep(2 * time.Hour)
		require.NoError(t, o.Notify(t.Context(), []notification.Event{push("app", "last")}))
		require.Zero(t, other.Stats("hook").Delivered)
		require.Equal(t, 1, countKeys(t, m, "e/s/"))
		time.Sleep(time.Minute)
		require.Equal(t, 1, countKeys(t, m, "e/c/"), "the stream is the same")
		stop()
		stopOther()
	})
}

// TestRemovalDelaysNoTakeover checks that a process takes over a stream while it removes an old one.
func TestRemovalDelaysNoTakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory.New(nil)
		first := newOutbox(t, m, nil, outbox.Destination{Name: "hook", Sink: &inbox{}})
		stopFirst := run(t, first)
		for i := range 10_000 {
			require.NoError(t, first.Notify(t.Context(), []notification.Event{push("app", fmt.Sprint(i))}))
		}
		time.Sleep(time.Minute)
		stopFirst()
		var deletes atomic.Int64
		in := &inbox{}
		slow := func(string) { deletes.Add(1); time.Sleep(100 * time.Millisecond) }
		o := newOutbox(t, &hooked{Driver: m, beforeDelete: slow}, nil,
			outbox.Destination{Name: "hook", Sink: in})
		stop := run(t, o)
		time.Sleep(7 * 24 * time.Hour)
		for deletes.Load() == 0 {
			time.Sleep(10 * time.Second)
		}
		e := push("app", "last")
		dying := newOutbox(t, m, nil, outbox.Destination{Name: "hook", Sink: &inbox{}})
		require.NoError(t, dying.Notify(t.Context(), []notification.Event{e}))
		time.Sleep(2 * time.Minute)
		ids, _ := in.ids()
		require.Equal(t, []string{e.ID}, ids)
		stop()
	})
}

func countKeys(t *testing.T, d *memory.Driver, prefix string) (n int) {
	t.Helper()
	for _, err := range d.List(t.Context(), prefix, nil) {
		require.NoError(t, err)
		n++
	}
	return n
}
