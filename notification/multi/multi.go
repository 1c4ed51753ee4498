package multi

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/registrykit/registry/internal/contain"
	"github.com/registrykit/registry/notification"
)

// New returns a Sink that calls all sinks, in the given order, each with all events. A sink that
// returns an error or panics does not keep the others from being called. Nil sinks are left out.
//
// The error of Notify has the errors of all sinks in its text, and means this:
//
//   - [notification.Delivered] returns the number of events that every sink has got, counted from
//     the first. If the caller repeats the others, the sinks that got them get them again.
//   - errors.Is finds [notification.ErrNotRecorded] and every other error of any sink, with two
//     exceptions. It finds [notification.ErrRefused] only if all sinks that failed have refused,
//     because repeating helps the others.
//   - A sink that returned [notification.ErrGone] is not called any more. The error of that call
//     counts as delivered for this sink. errors.Is finds ErrGone only when all sinks are gone.
//   - errors.As finds the [notification.RetryError] with the longest wait.
func New(sinks ...notification.Sink) notification.Sink {
	sinks = slices.DeleteFunc(slices.Clone(sinks), func(s notification.Sink) bool { return s == nil })
	return &multi{sinks: sinks, gone: make([]atomic.Bool, len(sinks))}
}

type multi struct {
	sinks []notification.Sink
	gone  []atomic.Bool // by index of sinks: returned ErrGone
}

func (m *multi) Notify(ctx context.Context, events []notification.Event) error {
	var failed joined
	delivered, gone := len(events), 0
	for i, s := range m.sinks {
		if m.gone[i].Load() {
			gone++
			continue
		}
		err := contain.Call(func() error { return s.Notify(ctx, events) })
		switch {
		case err == nil:
			continue
		case errors.Is(err, notification.ErrGone):
			m.gone[i].Store(true)
			gone++
		default:
			delivered = min(delivered, notification.Delivered(err, len(events)))
			failed.failing = append(failed.failing, err)
		}
		failed.all = append(failed.all, err)
	}
	if gone > 0 && gone == len(m.sinks) {
		return fmt.Errorf("all sinks: %w", notification.ErrGone)
	}
	if len(failed.all) == 0 {
		return nil
	}
	return notification.Partial(delivered, &failed)
}
