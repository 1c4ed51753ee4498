package multi_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/multi"
)

var errDown = errors.New("down")

// returns is a sink that returns err, or panics with what is no error.
func returns(err any) notification.Sink {
	return notification.BatchFunc(func(context.Context, []notification.Event) error {
		if err == nil {
			return nil
		}
		if err, ok := err.(error); ok {
			return err
		}
		panic(err)
	})
}

// TestMultiErrors checks what a caller finds in the joined error, for calls with 5 events.
func TestMultiErrors(t *testing.T) {
	partial := func(n int, err error) error { return notification.Partial(n, err) }
	for name, row := range map[string]struct {
		results   []any
		delivered int
		is, isNot []error
	}{
		"no sinks":            {nil, 5, nil, nil},
		"all succeed":         {[]any{nil, nil}, 5, nil, nil},
		"one fails":           {[]any{nil, errDown, nil}, 0, []error{errDown}, nil},
		"one panics":          {[]any{"oh", nil}, 0, nil, []error{errDown}},
		"the least counts":    {[]any{nil, partial(3, errDown), partial(2, errDown)}, 2, []error{errDown}, nil},
		"partial and nothing": {[]any{partial(3, errDown), errDown}, 0, []error{errDown}, nil},
		"wrapped partial":     {[]any{fmt.Errorf("x: %w", partial(3, errDown)), nil}, 3, []error{errDown}, nil},
		"nonsense partial":    {[]any{&notification.PartialError{Delivered: 99, Err: errDown}}, 5, []error{errDown}, nil},
		"not recorded": {[]any{errDown, nil, notification.ErrNotRecorded}, 0,
			[]error{errDown, notification.ErrNotRecorded}, nil},
		"one refuses": {[]any{nil, notification.ErrRefused}, 0, []error{notification.ErrRefused}, nil},
		"one refuses, one is down": {[]any{errDown, notification.ErrRefused}, 0, []error{errDown},
			[]error{notification.ErrRefused}},
		"one is gone": {[]any{nil, notification.ErrGone}, 5, nil, []error{notification.ErrGone}},
		"one is gone, one is down": {[]any{partial(1, errDown), notification.ErrGone}, 1, []error{errDown},
			[]error{notification.ErrGone}},
		"all are gone": {[]any{notification.ErrGone, notification.ErrGone}, 0, []error{notification.ErrGone}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			sinks := []notification.Sink{nil}
			for _, result := range row.results {
				sinks = append(sinks, returns(result), nil, notification.BatchFunc(
					func(context.Context, []notification.Event) error { calls++; return nil }))
			}
			if name == "all are gone" {
				sinks = []notification.Sink{returns(notification.ErrGone), returns(notification.ErrGone)}
			}
			err := multi.New(sinks...).Notify(t.Context(), make([]notification.Event, 5))
			require.Equal(t, row.delivered, notification.Delivered(err, 5))
			for _, target := range row.is {
				require.ErrorIs(t, err, target)
			}
			for _, target := range row.isNot {
				require.NotErrorIs(t, err, target)
				require.Error(t, err)
			}
			if name != "all are gone" {
				require.Equal(t, len(row.results), calls)
			}
		})
	}
}

// TestMultiErrorHasAllTexts also checks the longest wait and other types of errors.
func TestMultiErrorHasAllTexts(t *testing.T) {
	retry := func(d time.Duration) error { return &notification.RetryError{After: d, Err: errDown} }
	sink := multi.New(returns(retry(time.Second)), returns("oh"), returns(notification.ErrGone),
		returns(notification.Partial(2, retry(time.Hour))), returns(&os.PathError{Op: "open", Err: os.ErrPermission}))
	err := sink.Notify(t.Context(), make([]notification.Event, 5))
	for _, text := range []string{"retry after 1s", "retry after 1h", "panic: oh", "wants no more events", "open"} {
		require.ErrorContains(t, err, text)
	}
	var r *notification.RetryError
	require.ErrorAs(t, err, &r)
	require.Equal(t, time.Hour, r.After)
	var p *notification.PartialError
	require.NotErrorAs(t, err, &p)
	var path *os.PathError
	require.ErrorAs(t, err, &path)
	require.ErrorIs(t, err, os.ErrPermission)
}

// TestMultiGoneSinkIsNotCalledAgain: the others go on.
func TestMultiGoneSinkIsNotCalledAgain(t *testing.T) {
	calls := [2]int{}
	gone := notification.BatchFunc(func(context.Context, []notification.Event) error {
		calls[0]++
		return notification.ErrGone
	})
	later := notification.BatchFunc(func(context.Context, []notification.Event) error {
		if calls[1]++; calls[1] > 2 {
			return notification.ErrGone
		}
		return nil
	})
	sink := multi.New(gone, later)
	events := make([]notification.Event, 1)
	require.Error(t, sink.Notify(t.Context(), events))
	require.NoError(t, sink.Notify(t.Context(), events))
	require.ErrorIs(t, sink.Notify(t.Context(), events), notification.ErrGone)
	require.ErrorIs(t, sink.Notify(t.Context(), events), notification.ErrGone)
	require.Equal(t, [2]int{1, 3}, calls)
}

// TestMultiRepeatingDeliversAll is a property of all failures: a caller that repeats what is not
// delivered delivers every event to every sink, in order, at least once.
func TestMultiRepeatingDeliversAll(t *testing.T) {
	for seed := range uint64(500) {
		random := rand.New(rand.NewPCG(seed, 3))
		events := make([]notification.Event, 1+random.IntN(8))
		for i := range events {
			events[i].Count = i
		}
		next := make([]int, 1+random.IntN(3)) // by sink: the event that it has not got
		var sinks []notification.Sink
		for s := range next {
			sinks = append(sinks, notification.SinkFunc(func(_ context.Context, e notification.Event) error {
				switch random.IntN(16) {
				case 0:
					return errDown
				case 1:
					panic("oh")
				}
				require.LessOrEqual(t, e.Count, next[s])
				next[s] = max(next[s], e.Count+1)
				return nil
			}))
		}
		sink := multi.New(sinks...)
		for rest := events; len(rest) > 0; {
			rest = rest[notification.Delivered(sink.Notify(t.Context(), rest), len(rest)):]
		}
		for _, n := range next {
			require.Equal(t, len(events), n, "seed %d", seed)
		}
	}
}

func BenchmarkMulti(b *testing.B) {
	sink := multi.New(returns(nil), returns(nil), returns(nil))
	events := make([]notification.Event, 1)
	b.ReportAllocs()
	for b.Loop() {
		if err := sink.Notify(context.Background(), events); err != nil {
			b.Fatal(err)
		}
	}
}
