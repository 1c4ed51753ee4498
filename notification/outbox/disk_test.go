package outbox_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/memory"
)

// TestOnDisk runs two outboxes on one disk driver in real time: many clients, one outbox ends, and the
// other one delivers what is left.
func TestOnDisk(t *testing.T) {
	d, err := disk.New(t.TempDir(), nil)
	require.NoError(t, err)
	in := &inbox{}
	opts := &outbox.Options{Lease: 2 * time.Second}
	hook := outbox.Destination{Name: "hook", Sink: in}
	var want sync.Map
	var clients sync.WaitGroup
	stops := make([]func(), 2)
	for n := range stops {
		o := newOutbox(t, d, opts, hook)
		stops[n] = run(t, o)
		for client := range 8 {
			clients.Go(func() {
				for i := range 20 {
					e := push(fmt.Sprintf("app%d", client), fmt.Sprint(i))
					if err := o.Notify(context.Background(), []notification.Event{e}); err != nil {
						t.Error(err)
					}
					want.Store(e.ID, true)
				}
			})
		}
	}
	clients.Wait()
	stops[0]()
	require.Eventually(t, func() bool {
		got, _ := in.ids()
		return len(got) == 2*8*20
	}, 20*time.Second, 10*time.Millisecond)
	got, _ := in.ids()
	for _, id := range got {
		_, ok := want.Load(id)
		require.True(t, ok)
	}
}

// BenchmarkNotify measures what an outbox adds to a change, for one client and for many at once.
func BenchmarkNotify(b *testing.B) {
	b.Run("memory", func(b *testing.B) {
		o, err := outbox.New(memory.New(nil), nil, nil)
		require.NoError(b, err)
		benchmark(b, o)
	})
	b.Run("disk", func(b *testing.B) {
		d, err := disk.New(b.TempDir(), nil)
		require.NoError(b, err)
		o, err := outbox.New(d, nil, nil)
		require.NoError(b, err)
		benchmark(b, o)
	})
}

func benchmark(b *testing.B, o *outbox.Outbox) {
	e := push("app", "v1")
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			require.NoError(b, o.Notify(b.Context(), []notification.Event{e}))
		}
	})
	b.Run("32", func(b *testing.B) {
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := o.Notify(context.Background(), []notification.Event{e}); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
