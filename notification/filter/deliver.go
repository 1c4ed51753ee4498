package filter

import (
	"context"
	"errors"

	"github.com/registrykit/registry/notification"
)

// deliver passes on to next what pass returns for the events. pass returns false for an event that
// is left out, and must not change the one that it gets.
func deliver(ctx context.Context, next notification.Sink, events []notification.Event,
	pass func(*notification.Event) (notification.Event, bool)) error {
	var kept []notification.Event
	var index []int // in events, by index in kept
	for i := range events {
		e, ok := pass(&events[i])
		if !ok {
			continue
		}
		if kept == nil {
			kept, index = make([]notification.Event, 0, len(events)-i), make([]int, 0, len(events)-i)
		}
		kept, index = append(kept, e), append(index, i)
	}
	if len(kept) == 0 {
		return nil
	}
	err := next.Notify(ctx, kept)
	if err == nil {
		return nil
	}
	delivered := len(events)
	if n := notification.Delivered(err, len(kept)); n < len(kept) {
		delivered = index[n]
	}
	var partial *notification.PartialError
	if errors.As(err, &partial) && partial == err {
		err = partial.Err // its number counts the events of next
	}
	return notification.Partial(delivered, err)
}
