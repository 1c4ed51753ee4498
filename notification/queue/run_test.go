package queue_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/queue"
)

var errDown = errors.New("down")

// TestRunRepeatsWhatIsNotDelivered checks what is called after each answer. The pauses are those of
// the fake clock.
func TestRunRepeatsWhatIsNotDelivered(t *testing.T) {
	refused, partial := notification.ErrRefused, notification.Partial
	for name, row := range map[string]struct {
		answers []error
		calls   string // the events of each call
		dropped string
	}{
		"error":     {[]error{errDown}, "012 012", ""},
		"partial":   {[]error{partial(2, errDown)}, "012 2", ""},
		"too many":  {[]error{&notification.PartialError{Delivered: 9, Err: errDown}}, "012", ""},
		"negative":  {[]error{&notification.PartialError{Delivered: -9, Err: errDown}}, "012 012", ""},
		"1st bad":   {[]error{refused, refused}, "012 0 1 2", "0"},
		"2nd bad":   {[]error{refused, nil, refused}, "012 0 1 2", "1"},
		"bad, down": {[]error{refused, errDown, nil, errDown}, "012 0 0 1 1 2", ""},
		"last bad":  {[]error{partial(2, refused)}, "012", "2"},
		"gives up":  {slices.Repeat([]error{errDown}, 3), "012 012 012 12", "0"},
		"progress":  {[]error{errDown, errDown, partial(1, errDown), errDown}, "012 012 012 12 12", ""},
		"gone":      {[]error{partial(1, notification.ErrGone)}, "012", "123"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := receiver{answer: func(call int, _ []notification.Event) error {
					if call < len(row.answers) {
						return row.answers[call]
					}
					return nil
				}}
				dropped := ""
				q := newQueue(t, &r, &queue.Options{Batch: 3, Attempts: 3, OnDrop: func(e []notification.Event, _ error) {
					dropped += strings.Join(ids(e), "")
				}})
				require.NoError(t, q.Notify(t.Context(), numbered(0, 3)))
				stop := start(t, q)
				time.Sleep(time.Hour)
				synctest.Wait()
				var calls []string
				for _, call := range r.calls {
					calls = append(calls, strings.Join(call, ""))
				}
				require.Equal(t, row.calls, strings.Join(calls, " "))
				disabled := q.Stats().Disabled
				require.NoError(t, q.Notify(t.Context(), numbered(3, 4)))
				require.NoError(t, stop())
				require.Equal(t, row.dropped, dropped)
				require.Equal(t, name == "gone", disabled)
				got := r.received()
				if !disabled {
					require.Equal(t, "3", got[len(got)-1])
				}
				s := q.Stats()
				require.Equal(t, int64(len(dropped)), s.Dropped)
				require.Equal(t, int64(4-len(dropped)), s.Delivered)
			})
		})
	}
}

// TestRunPanickingSinkIsContained: a panic counts as a failed attempt.
func TestRunPanickingSinkIsContained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var errs []error
		r := receiver{answer: func(call int, _ []notification.Event) error {
			if call == 0 {
				panic("oh")
			}
			return nil
		}}
		q := newQueue(t, &r, &queue.Options{OnError: func(err error) { errs = append(errs, err) }})
		require.NoError(t, q.Notify(t.Context(), numbered(0, 3)))
		stop := start(t, q)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.NoError(t, stop())
		require.Equal(t, ids(numbered(0, 3)), r.received())
		require.Len(t, errs, 1)
		require.ErrorContains(t, errs[0], "panic: oh")
		require.Equal(t, notification.Stats{Delivered: 3, Failed: 1}, q.Stats())
	})
}

// TestRunPauses measures the pauses on the fake clock: they double up to a maximum, with jitter,
// and what the receiver asks for is a minimum that is capped.
func TestRunPauses(t *testing.T) {
	for name, row := range map[string]struct {
		err      error
		min, max []time.Duration
	}{
		"doubled": {errDown, []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 2 * time.Second},
			[]time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 4 * time.Second}},
		"retry after": {&notification.RetryError{After: 30 * time.Second, Err: errDown},
			slices.Repeat([]time.Duration{30 * time.Second}, 4), slices.Repeat([]time.Duration{30 * time.Second}, 4)},
		"retry after a million years": {&notification.RetryError{After: math.MaxInt64, Err: errDown},
			slices.Repeat([]time.Duration{time.Minute}, 4), slices.Repeat([]time.Duration{time.Minute}, 4)},
		"retry after a negative time": {&notification.RetryError{After: math.MinInt64, Err: errDown},
			[]time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 2 * time.Second},
			[]time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 4 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var times []time.Time
				r := receiver{answer: func(call int, _ []notification.Event) error {
					if times = append(times, time.Now()); call < 4 {
						return row.err
					}
					return nil
				}}
				q := newQueue(t, &r, &queue.Options{MaxBackoff: 4 * time.Second, MaxRetryAfter: time.Minute})
				require.NoError(t, q.Notify(t.Context(), numbered(0, 1)))
				stop := start(t, q)
				time.Sleep(time.Hour)
				synctest.Wait()
				require.NoError(t, stop())
				require.Len(t, times, 5)
				for i := range 4 {
					pause := times[i+1].Sub(times[i])
					require.GreaterOrEqual(t, pause, row.min[i])
					require.LessOrEqual(t, pause, row.max[i])
				}
			})
		})
	}
}

// TestRunEndFlushes: when the context of Run ends during a pause, what is left is tried at once,
// and repeated until Flush is over.
func TestRunEndFlushes(t *testing.T) {
	for name, row := range map[string]struct {
		failures  int
		delivered int64
	}{"receiver is back": {1, 5}, "receiver comes back": {3, 5}, "receiver stays down": {math.MaxInt, 0}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := receiver{answer: func(call int, _ []notification.Event) error {
					if call < row.failures {
						return errDown
					}
					return nil
				}}
				q := newQueue(t, &r, &queue.Options{Backoff: time.Second, Flush: 10 * time.Second, Batch: 2})
				require.NoError(t, q.Notify(t.Context(), numbered(0, 5)))
				stop := start(t, q)
				synctest.Wait()
				begin := time.Now()
				err := stop()
				require.LessOrEqual(t, time.Since(begin), 10*time.Second)
				s := q.Stats()
				require.Equal(t, row.delivered, s.Delivered)
				require.Equal(t, 5-row.delivered, s.Dropped)
				if row.delivered == 5 {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, errDown)
				}
			})
		})
	}
}

// TestRunEndCancelsAHungCall: a receiver that hangs until its context ends holds up Run for Flush.
func TestRunEndCancelsAHungCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung := notification.BatchFunc(func(ctx context.Context, _ []notification.Event) error {
			<-ctx.Done()
			return ctx.Err()
		})
		q := newQueue(t, hung, &queue.Options{Timeout: time.Hour})
		require.NoError(t, q.Notify(t.Context(), numbered(0, 5)))
		stop := start(t, q)
		synctest.Wait()
		begin := time.Now()
		require.ErrorContains(t, stop(), "5 events dropped")
		require.Equal(t, 5*time.Second, time.Since(begin))
	})
}

// TestRunTimeoutEndsACall: a call that takes longer than Timeout is a failed attempt.
func TestRunTimeoutEndsACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		hung := notification.BatchFunc(func(ctx context.Context, _ []notification.Event) error {
			if calls++; calls == 1 {
				<-ctx.Done()
			}
			return ctx.Err()
		})
		q := newQueue(t, hung, &queue.Options{Timeout: time.Second})
		require.NoError(t, q.Notify(t.Context(), numbered(0, 5)))
		stop := start(t, q)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.NoError(t, stop())
		require.Equal(t, notification.Stats{Delivered: 5, Failed: 1}, q.Stats())
	})
}
