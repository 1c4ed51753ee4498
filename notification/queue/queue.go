package queue

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
)

// Options are the options of [New]. A negative value of any number is an error.
type Options struct {
	// Size is the maximum number of events that wait, without those that Run is delivering.
	// Default: 10,000. The memory for them, about 250 bytes each, is allocated as it is needed.
	Size int
	// Batch is the maximum number of events of one call of the next sink. Default: 100.
	Batch int
	// Block makes Notify wait for room while the queue is full, until its context ends. The
	// registry calls Notify with a context that does not end with the request, so the operations of
	// all clients wait while the receiver is down. Default: the new events are dropped.
	Block bool

	// Attempts is the number of failed calls of the next sink after which an event is dropped. The
	// calls count for the first event that was not delivered; the others follow with as many
	// attempts of their own. An event that the receiver refuses, see [notification.ErrRefused], is
	// dropped at once: the events of its batch are delivered one by one to find it. Default: 10,
	// which take three to four minutes with the other defaults.
	Attempts int
	// Backoff is the pause after the first failed attempt. It doubles with each further one, up to
	// MaxBackoff. Each pause is shortened by a random part of up to a quarter. Default: one second.
	Backoff time.Duration
	// MaxBackoff is the maximum pause. Default: one minute.
	MaxBackoff time.Duration
	// MaxRetryAfter is the maximum pause that a [notification.RetryError] can ask for. Default: 10
	// minutes.
	MaxRetryAfter time.Duration
	// Timeout is the maximum time for one call of the next sink: its context ends then. Default:
	// one minute.
	Timeout time.Duration
	// Flush is the maximum time for delivering what is left when the context of Run ends. Default:
	// 5 seconds.
	Flush time.Duration

	// OnError is called by Run after each failed call of the next sink. Default: errors are only
	// counted, see Stats.
	OnError func(err error)
	// OnDrop is called with events that will never be delivered and the reason, such as ErrFull. It
	// is called by Notify and Run, by many goroutines at once, and must return quickly. Default:
	// dropped events are only counted.
	OnDrop func(events []notification.Event, reason error)
}

var (
	// ErrFull is returned by Notify if the queue has no room for the events. They are dropped.
	ErrFull = errors.New("queue: full")
	// ErrClosed is returned by Notify after Run has ended. The events are dropped.
	ErrClosed = errors.New("queue: closed")
)

// Queue is a Sink that delivers events to another one in the background. Use [New].
type Queue struct {
	next notification.Sink
	o    Options
	wake chan struct{} // has an element if events may wait for Run

	mu       sync.Mutex
	room     sync.Cond // events were taken out, or the queue was closed
	waiting  ring
	inFlight []notification.Event // those that Run is delivering
	started  bool
	closed   bool
	stats    notification.Stats // without Pending and Oldest
}

// New returns a Queue in front of next. It starts nothing: call Run.
//
// Errors: an error is returned if next is nil or an option is negative.
func New(next notification.Sink, opts *Options) (*Queue, error) {
	o := options.Value(opts)
	if next == nil {
		return nil, errors.New("queue: the next sink is nil")
	}
	if min(o.Size, o.Batch, o.Attempts) < 0 ||
		min(o.Backoff, o.MaxBackoff, o.MaxRetryAfter, o.Timeout, o.Flush) < 0 {
		return nil, errors.New("queue: negative option")
	}
	options.Default(&o.Size, 10_000)
	options.Default(&o.Batch, 100)
	options.Default(&o.Attempts, 10)
	options.Default(&o.Backoff, time.Second)
	options.Default(&o.MaxBackoff, time.Minute)
	options.Default(&o.MaxRetryAfter, 10*time.Minute)
	options.Default(&o.Timeout, time.Minute)
	options.Default(&o.Flush, 5*time.Second)
	if o.OnError == nil {
		o.OnError = func(error) {}
	}
	if o.OnDrop == nil {
		o.OnDrop = func([]notification.Event, error) {}
	}
	q := &Queue{next: next, o: o, wake: make(chan struct{}, 1), waiting: ring{max: o.Size}}
	q.room.L = &q.mu
	return q, nil
}

// Notify adds events to the queue. It does not wait for their delivery.
//
// Errors: ErrFull is returned if the queue has no room for all events; the first ones may have been
// added, see [notification.Delivered]. With Options.Block, the error of ctx is returned instead.
// ErrClosed is returned after Run has ended. Events are dropped without an error if the receiver
// wants no more of them, see [notification.ErrGone].
func (q *Queue) Notify(ctx context.Context, events []notification.Event) error {
	q.mu.Lock()
	added, err := q.add(ctx, events)
	dropped := events[added:]
	q.stats.Dropped += int64(len(dropped))
	q.mu.Unlock()
	if len(dropped) > 0 {
		q.o.OnDrop(dropped, err)
	}
	if err == notification.ErrGone {
		return nil
	}
	return notification.Partial(added, err)
}

// add adds events while there is room. It returns how many it has added, and why not all.
func (q *Queue) add(ctx context.Context, events []notification.Event) (int, error) {
	added := 0
	for {
		switch {
		case q.stats.Disabled:
			return added, notification.ErrGone
		case q.closed:
			return added, ErrClosed
		}
		if n := q.waiting.push(events[added:]); n > 0 {
			added += n
			select {
			case q.wake <- struct{}{}:
			default:
			}
		}
		switch {
		case added == len(events):
			return added, nil
		case !q.o.Block:
			return added, ErrFull
		case ctx.Err() != nil:
			return added, ctx.Err()
		}
		q.waitForRoom(ctx)
	}
}

// waitForRoom waits until events were taken out, the queue was closed, or ctx has ended.
func (q *Queue) waitForRoom(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.room.Broadcast()
	})
	defer stop()
	q.room.Wait()
}

// Stats returns what the queue has done so far.
func (q *Queue) Stats() notification.Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.stats
	s.Pending = int64(q.waiting.n + len(q.inFlight))
	switch {
	case len(q.inFlight) > 0:
		s.Oldest = q.inFlight[0].Time
	case q.waiting.n > 0:
		s.Oldest = q.waiting.oldest().Time
	}
	return s
}
