package notification_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
)

// TestNewIDIsSortableUUID checks IDs with another implementation of RFC 9562: they are of version
// 7, ascend in each goroutine, and are unique.
func TestNewIDIsSortableUUID(t *testing.T) {
	const goroutines, each = 8, 2000
	ids := make([][]string, goroutines)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			for range each {
				ids[i] = append(ids[i], notification.NewID())
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, list := range ids {
		require.True(t, slices.IsSorted(list))
		for _, id := range list {
			u, err := uuid.Parse(id)
			require.NoError(t, err)
			require.Equal(t, uuid.Version(7), u.Version())
			require.Equal(t, uuid.RFC4122, u.Variant())
			require.Equal(t, u.String(), id)
			seen[id] = true
		}
	}
	require.Len(t, seen, goroutines*each)
}

// TestSinkFuncReportsWhatIsDelivered checks that the caller learns which events to repeat.
func TestSinkFuncReportsWhatIsDelivered(t *testing.T) {
	events := []notification.Event{{ID: "1"}, {ID: "2"}, {ID: "3"}}
	down := errors.New("down")
	for name, row := range map[string]struct {
		failAt    string
		delivered int
	}{"none": {"1", 0}, "some": {"3", 2}, "all": {"", 3}} {
		t.Run(name, func(t *testing.T) {
			err := notification.SinkFunc(func(_ context.Context, e notification.Event) error {
				if e.ID == row.failAt {
					return down
				}
				return nil
			}).Notify(t.Context(), events)
			require.Equal(t, row.delivered, notification.Delivered(err, len(events)))
			require.Equal(t, row.failAt != "", errors.Is(err, down))
		})
	}
	require.Equal(t, 1, notification.Delivered(&notification.PartialError{Delivered: 9, Err: down}, 1))
}

func BenchmarkNewID(b *testing.B) {
	for b.Loop() {
		_ = notification.NewID()
	}
}
