package queue_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/queue"
)

// BenchmarkNotify measures what an operation pays for its event, with 8 goroutines on each
// processor. With "all", the queue takes every event, and Notify sometimes waits for room; with
// "drop", it is full most of the time.
func BenchmarkNotify(b *testing.B) {
	for name, o := range map[string]queue.Options{"all": {Block: true}, "drop": {Size: 100}} {
		b.Run(name, func(b *testing.B) {
			next := notification.BatchFunc(func(context.Context, []notification.Event) error { return nil })
			q, err := queue.New(next, &o)
			require.NoError(b, err)
			ctx, cancel := context.WithCancel(b.Context())
			ended := make(chan error, 1)
			go func() { ended <- q.Run(ctx) }()
			b.ReportAllocs()
			b.SetParallelism(8)
			events := []notification.Event{{ID: notification.NewID(), Action: notification.Pull}}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_ = q.Notify(context.Background(), events)
				}
			})
			b.StopTimer()
			cancel()
			require.NoError(b, <-ended)
			require.Zero(b, q.Stats().Pending)
		})
	}
}
