package notification

import (
	"context"
	"errors"
)

// Sink receives events.
type Sink interface {
	// Notify receives the events of one operation, or several events in their order. There is at
	// least one, and the caller does not change the slice or what it points at afterwards; neither
	// may Notify. Many goroutines call it at once.
	//
	// The registry calls it after the operation has succeeded and before the client gets its
	// response, so it should return quickly. ctx is not cancelled with the request.
	//
	// The registry logs an error and goes on, with one exception: for an error that wraps
	// ErrNotRecorded the client gets 503, although the operation has happened. The outbox and the
	// queue call a sink again with the same events, see [Delivered], [RetryError], [ErrRefused] and
	// [ErrGone].
	Notify(ctx context.Context, events []Event) error
}

// SinkFunc is a function that implements [Sink]. It is called for one event at a time.
type SinkFunc func(ctx context.Context, event Event) error

// Notify calls f for each event, and stops at the first error. The error is a [PartialError] if f
// succeeded for some events before.
func (f SinkFunc) Notify(ctx context.Context, events []Event) error {
	for i, e := range events {
		if err := f(ctx, e); err != nil {
			return Partial(i, err)
		}
	}
	return nil
}

// BatchFunc is a function that implements [Sink]. It is called with all events at once.
type BatchFunc func(ctx context.Context, events []Event) error

// Notify calls f.
func (f BatchFunc) Notify(ctx context.Context, events []Event) error { return f(ctx, events) }

var (
	// ErrNotRecorded is wrapped in an error of a Sink that was to store events durably, if it could
	// not. The registry then answers with 503, so that no change is acknowledged without its event.
	ErrNotRecorded = errors.New("notification: the event was not recorded")
	// ErrRefused is wrapped in an error of a Sink if the receiver does not accept the event and
	// would hardly accept it later, such as for an HTTP status of 400. An outbox gives up on such
	// an event sooner than on one whose receiver is down.
	ErrRefused = errors.New("notification: the receiver refused the event")
	// ErrGone is wrapped in an error of a Sink if the receiver wants no more events, such as for an
	// HTTP status of 410. An outbox disables the sink.
	ErrGone = errors.New("notification: the receiver wants no more events")
)
