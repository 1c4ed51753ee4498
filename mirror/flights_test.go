package mirror

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFlightsShareOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g flights[int]
		var calls atomic.Int64
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				v, err := g.do(t.Context(), "key", 0, func(func()) (int, error) {
					calls.Add(1)
					time.Sleep(time.Minute)
					return 7, errors.New("also shared")
				})
				require.Equal(t, 7, v)
				require.EqualError(t, err, "also shared")
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, calls.Load())
		v, err := g.do(t.Context(), "key", 0, func(func()) (int, error) { return 8, nil })
		require.NoError(t, err)
		require.Equal(t, 8, v, "a call that has ended is not shared")
		require.Empty(t, g.pending)
	})
}

func TestFlightsOutliveTheirCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g flights[int]
		slow := func(func()) (int, error) { time.Sleep(time.Hour); return 1, nil }
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := g.do(ctx, "key", 0, slow)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		v, err := g.do(t.Context(), "key", 0, func(func()) (int, error) { return 2, nil })
		require.NoError(t, err)
		require.Equal(t, 1, v)
	})
}

func TestFlightsWaitForADecisionForALimitedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g flights[int]
		decide := func(hold func()) (int, error) {
			time.Sleep(time.Hour) // not limited by the caller's patience
			hold()
			time.Sleep(time.Minute)
			return 1, nil
		}
		start := time.Now()
		_, err := g.do(t.Context(), "key", 10*time.Second, decide)
		require.ErrorIs(t, err, errHeld)
		require.Equal(t, time.Hour+10*time.Second, time.Since(start))
		v, err := g.do(t.Context(), "key", time.Hour, decide)
		require.NoError(t, err)
		require.Equal(t, 1, v)
		require.Equal(t, time.Hour+time.Minute, time.Since(start))
	})
}

func TestFlightsContainPanics(t *testing.T) {
	var g flights[int]
	_, err := g.do(t.Context(), "key", 0, func(func()) (int, error) { panic("oh") })
	require.ErrorContains(t, err, "oh")
}
