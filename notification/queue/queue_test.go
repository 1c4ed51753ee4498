package queue_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/queue"
)

func TestNewInvalidOptionsRefused(t *testing.T) {
	_, err := queue.New(nil, nil)
	require.ErrorContains(t, err, "nil")
	for _, o := range []queue.Options{
		{Size: -1}, {Batch: -1}, {Attempts: -1}, {Backoff: -1}, {MaxBackoff: -1}, {MaxRetryAfter: -1},
		{Timeout: -1}, {Flush: -1},
	} {
		_, err := queue.New(&receiver{}, &o)
		require.ErrorContains(t, err, "negative", "%+v", o)
	}
}

func TestNotifyFullDropsTheNewEvents(t *testing.T) {
	var r receiver
	var dropped []string
	var reasons []error
	q := newQueue(t, &r, &queue.Options{Size: 3, OnDrop: func(events []notification.Event, reason error) {
		dropped, reasons = append(dropped, ids(events)...), append(reasons, reason)
	}})
	require.NoError(t, q.Notify(t.Context(), numbered(0, 2)))
	err := q.Notify(t.Context(), numbered(2, 5))
	require.ErrorIs(t, err, queue.ErrFull)
	require.Equal(t, 1, notification.Delivered(err, 3))
	require.ErrorIs(t, q.Notify(t.Context(), numbered(5, 6)), queue.ErrFull)
	require.Equal(t, []string{"3", "4", "5"}, dropped)
	require.Equal(t, []error{queue.ErrFull, queue.ErrFull}, reasons)
	require.Equal(t, notification.Stats{Dropped: 3, Pending: 3}, q.Stats())

	require.NoError(t, start(t, q)())
	require.Equal(t, []string{"0", "1", "2"}, r.received())
	require.Equal(t, notification.Stats{Delivered: 3, Dropped: 3}, q.Stats())
	require.ErrorIs(t, q.Notify(t.Context(), numbered(6, 7)), queue.ErrClosed)
	require.Equal(t, int64(4), q.Stats().Dropped)
	require.ErrorContains(t, q.Run(t.Context()), "before")
}

// TestNotifyDoesNotWaitForTheReceiver: the receiver hangs for as long as the test runs.
func TestNotifyDoesNotWaitForTheReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		q := newQueue(t, &receiver{answer: func(int, []notification.Event) error { <-hang; return nil }}, nil)
		stop := start(t, q)
		begin := time.Now()
		for i := range 1000 {
			require.NoError(t, q.Notify(t.Context(), numbered(i, i+1)))
		}
		require.Zero(t, time.Since(begin))
		require.Equal(t, int64(1000), q.Stats().Pending)
		close(hang)
		require.NoError(t, stop())
		require.Equal(t, int64(1000), q.Stats().Delivered)
	})
}

func TestNotifyBlockWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r receiver
		q := newQueue(t, &r, &queue.Options{Size: 2, Batch: 1, Block: true})
		added := make(chan error, 1)
		go func() { added <- q.Notify(t.Context(), numbered(0, 7)) }()
		synctest.Wait()
		require.Empty(t, added)
		stop := start(t, q)
		require.NoError(t, <-added)
		require.NoError(t, stop())
		require.Equal(t, ids(numbered(0, 7)), r.received())
		require.Zero(t, q.Stats().Dropped)
	})
}

// TestNotifyBlockEnds checks the ends of a wait for room: that of the context, that of Run, and a
// receiver that wants no more events.
func TestNotifyBlockEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, &receiver{}, &queue.Options{Size: 2, Block: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := q.Notify(ctx, numbered(0, 3))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 2, notification.Delivered(err, 3))

		down := &receiver{answer: func(int, []notification.Event) error { return errors.New("down") }}
		q = newQueue(t, down, &queue.Options{Size: 2, Batch: 1, Block: true})
		added := make(chan error, 1)
		go func() { added <- q.Notify(t.Context(), numbered(0, 9)) }()
		stop := start(t, q)
		synctest.Wait()
		require.ErrorContains(t, stop(), "3 events dropped at the end, last error: down")
		require.ErrorIs(t, <-added, queue.ErrClosed)
		require.Equal(t, int64(9), q.Stats().Dropped)

		gone := &receiver{answer: func(int, []notification.Event) error { return notification.ErrGone }}
		q = newQueue(t, gone, &queue.Options{Size: 2, Batch: 1, Block: true})
		stop = start(t, q)
		require.NoError(t, q.Notify(t.Context(), numbered(0, 9)))
		require.NoError(t, stop())
		require.Equal(t, int64(9), q.Stats().Dropped)
	})
}

// TestRunKeepsTheOrderOfEachCaller lets many goroutines fill the queue while the receiver fails at
// random: each goroutine's events arrive once, in order.
func TestRunKeepsTheOrderOfEachCaller(t *testing.T) {
	const callers, each = 8, 500
	r := receiver{answer: func(call int, events []notification.Event) error {
		if call%3 == 0 {
			return notification.Partial(call%(len(events)+1)%len(events), errors.New("down"))
		}
		return nil
	}}
	q := newQueue(t, &r, &queue.Options{Size: 100, Batch: 7, Block: true, Backoff: time.Microsecond,
		MaxBackoff: time.Microsecond})
	stop := start(t, q)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				_ = q.Notify(context.Background(), []notification.Event{{ID: fmt.Sprint(c, " ", i)}})
			}
		})
	}
	wg.Wait()
	require.NoError(t, stop())
	next := make([]int, callers)
	for _, id := range r.received() {
		var c, i int
		_, err := fmt.Sscan(id, &c, &i)
		require.NoError(t, err)
		require.Equal(t, next[c], i, "caller %d", c)
		next[c]++
	}
	for _, n := range next {
		require.Equal(t, each, n)
	}
	s := q.Stats()
	require.Equal(t, int64(callers*each), s.Delivered)
	require.Zero(t, s.Dropped+s.Pending)
	require.Zero(t, s.Oldest)
}

func TestStatsPendingAndOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		q := newQueue(t, &receiver{answer: func(int, []notification.Event) error { <-hang; return nil }},
			&queue.Options{Batch: 1})
		times := []time.Time{time.Unix(1, 0), time.Unix(2, 0)}
		require.NoError(t, q.Notify(t.Context(), []notification.Event{{Time: times[0]}, {Time: times[1]}}))
		require.Equal(t, notification.Stats{Pending: 2, Oldest: times[0]}, q.Stats())
		stop := start(t, q)
		synctest.Wait() // the first event is in flight
		require.Equal(t, notification.Stats{Pending: 2, Oldest: times[0]}, q.Stats())
		hang <- struct{}{}
		synctest.Wait()
		require.Equal(t, notification.Stats{Delivered: 1, Pending: 1, Oldest: times[1]}, q.Stats())
		close(hang)
		require.NoError(t, stop())
	})
}
