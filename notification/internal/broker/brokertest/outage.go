package brokertest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/storage/memory"
)

// TestOutage puts a sink behind an outbox. The broker is down while 200 events happen, and nobody
// waits for it. After up, which starts the broker, all events are delivered, in order per
// repository. The function received returns what the broker has stored.
func TestOutage(t *testing.T, sink notification.Sink, up func(), received func() []Received) {
	t.Helper()
	box, err := outbox.New(memory.New(nil), []outbox.Destination{{Name: "broker", Sink: sink}}, nil)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- box.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			require.NoError(t, err)
		}
	}()

	events := Events(200)
	for i := range events {
		require.NoError(t, box.Notify(t.Context(), events[i:i+1]))
	}
	within := func(condition func(s notification.Stats) bool) {
		t.Helper()
		require.Eventually(t, func() bool { return condition(box.Stats("broker")) }, 2*time.Minute, 10*time.Millisecond)
	}
	within(func(s notification.Stats) bool { return s.Failed >= 2 })
	stats := box.Stats("broker")
	require.Zero(t, stats.Delivered)
	require.Error(t, stats.LastError)

	up()
	within(func(s notification.Stats) bool { return s.Delivered >= int64(len(events)) && s.Pending == 0 })
	require.Zero(t, box.Stats("broker").Dropped)
	repeated := RequireDelivered(t, events, received())
	t.Logf("%d events, %d of them twice, after %d failed calls", len(events), repeated, box.Stats("broker").Failed)
}
