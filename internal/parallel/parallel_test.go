package parallel_test

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/parallel"
)

func TestEachCallsAllInOrder(t *testing.T) {
	for _, n := range []int{0, 1, 2, 16, 100} {
		var mu sync.Mutex
		var begun []int
		require.NoError(t, parallel.Each(1, n, func(i int) error {
			mu.Lock()
			defer mu.Unlock()
			begun = append(begun, i)
			return nil
		}))
		require.Len(t, begun, n)
		require.True(t, slices.IsSorted(begun))
	}
}

func TestEachWidthIsAMaximum(t *testing.T) {
	var running, most atomic.Int64
	both := make(chan struct{})
	require.NoError(t, parallel.Each(2, 50, func(i int) error {
		now := running.Add(1)
		defer running.Add(-1)
		for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
		}
		if i == 1 {
			close(both) // two calls run at the same time, or this would never return
		}
		if i == 0 {
			<-both
		}
		return nil
	}))
	require.Equal(t, int64(2), most.Load())
}

func TestEachReturnsTheFirstErrorByNumber(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	calls := atomic.Int64{}
	err := parallel.Each(4, 10, func(i int) error {
		calls.Add(1)
		switch i {
		case 3:
			return first
		case 7:
			return second
		}
		return nil
	})
	require.Equal(t, first, err)
	require.Equal(t, int64(10), calls.Load(), "a failure stops no other call")
}

// TestEachPanics: a call that panics does so in the goroutine of the caller, and the other calls are made.
func TestEachPanics(t *testing.T) {
	var made atomic.Int64
	defer func() {
		require.ErrorContains(t, recover().(error), "broken\ngoroutine")
		require.EqualValues(t, 9, made.Load())
	}()
	_ = parallel.Each(3, 10, func(i int) error {
		if i == 4 {
			panic("broken")
		}
		made.Add(1)
		return nil
	})
	require.Fail(t, "no panic")
}
