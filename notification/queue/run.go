package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/registrykit/registry/internal/contain"
	"github.com/registrykit/registry/notification"
)

// Run delivers events until ctx ends. It then delivers what is left, for up to Options.Flush, and
// drops the rest. Stop the server before, so that no events follow. A Queue runs once.
//
// Run cannot end while the next sink ignores the end of its context.
//
// Errors: an error is returned if Run was called before, or if events were dropped at the end.
func (q *Queue) Run(ctx context.Context) error {
	q.mu.Lock()
	started := q.started
	q.started = true
	q.mu.Unlock()
	if started {
		return errors.New("queue: Run was called before")
	}
	r, end := q.newRunner(ctx)
	defer end()
	for {
		if !q.take() {
			select {
			case <-q.wake:
			case <-ctx.Done():
				if q.closeEmpty() {
					return nil
				}
			}
			continue
		}
		r.deliver()
		if r.calls.Err() != nil {
			return q.abandon()
		}
	}
}

// take moves a batch from the waiting events to those in flight. It returns false if there is none.
func (q *Queue) take() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.inFlight = q.waiting.pop(q.o.Batch)
	if len(q.inFlight) == 0 {
		return false
	}
	q.room.Broadcast()
	return true
}

// closeEmpty closes the queue unless events wait.
func (q *Queue) closeEmpty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = q.waiting.n == 0
	q.room.Broadcast()
	return q.closed
}

// abandon closes the queue and drops all events.
func (q *Queue) abandon() error {
	q.mu.Lock()
	q.closed = true
	err := q.stats.LastError
	q.mu.Unlock()
	if n := q.dropAll(ErrClosed); n > 0 {
		return fmt.Errorf("queue: %d events dropped at the end, last error: %w", n, err)
	}
	return nil
}

// dropAll drops the events in flight and those that wait, and returns their number.
func (q *Queue) dropAll(reason error) int {
	q.mu.Lock()
	lists := [][]notification.Event{q.inFlight, q.waiting.pop(q.waiting.n)}
	n := len(lists[0]) + len(lists[1])
	q.inFlight = nil
	q.stats.Dropped += int64(n)
	q.room.Broadcast()
	q.mu.Unlock()
	for _, events := range lists {
		if len(events) > 0 {
			q.o.OnDrop(events, reason)
		}
	}
	return n
}

// drop drops the first event in flight.
func (q *Queue) drop(reason error) {
	q.mu.Lock()
	dropped := q.inFlight[:1:1]
	q.inFlight = q.inFlight[1:]
	q.stats.Dropped++
	q.mu.Unlock()
	q.o.OnDrop(dropped, reason)
}

// disable drops all events, those to come as well.
func (q *Queue) disable() {
	q.mu.Lock()
	q.stats.Disabled = true
	q.mu.Unlock()
	q.dropAll(notification.ErrGone)
}

// runner delivers the events of a Queue.
type runner struct {
	*Queue
	ctx   context.Context // of Run
	calls context.Context // of the calls of the next sink: ends Options.Flush after ctx
}

// newRunner returns a runner, and a function that ends its context.
func (q *Queue) newRunner(ctx context.Context) (*runner, func()) {
	calls, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-calls.Done():
			return
		case <-ctx.Done():
		}
		flush := time.NewTimer(q.o.Flush)
		defer flush.Stop()
		select {
		case <-calls.Done():
		case <-flush.C:
			cancel()
		}
	}()
	return &runner{Queue: q, ctx: ctx, calls: calls}, func() { cancel(); <-ended }
}

// deliver delivers or drops the events in flight. It returns before that if the calls must end.
func (r *runner) deliver() {
	attempts := 0 // failed calls with the same first event
	alone := 0    // events to deliver one by one, because one of them was refused
	for r.calls.Err() == nil {
		batch := r.batch(alone > 0)
		if len(batch) == 0 {
			return
		}
		n, err := r.call(batch)
		alone = max(alone-n, 0)
		if n > 0 {
			attempts = 0
		}
		if err == nil || n == len(batch) {
			continue
		}
		attempts++
		switch {
		case errors.Is(err, notification.ErrGone):
			r.disable()
		case errors.Is(err, notification.ErrRefused) && len(batch)-n > 1:
			alone = len(batch) - n
		case errors.Is(err, notification.ErrRefused), attempts >= r.o.Attempts:
			r.drop(err)
			attempts, alone = 0, max(alone-1, 0)
		default:
			r.pause(attempts, err)
		}
	}
}

// batch returns the events for the next call.
func (r *runner) batch(alone bool) []notification.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	if alone {
		return r.inFlight[:1:1]
	}
	return r.inFlight
}

// call calls the next sink, and returns the number of delivered events.
func (r *runner) call(batch []notification.Event) (int, error) {
	ctx, cancel := context.WithTimeout(r.calls, r.o.Timeout)
	defer cancel()
	err := contain.Call(func() error { return r.next.Notify(ctx, batch) })
	n := notification.Delivered(err, len(batch))
	r.mu.Lock()
	r.inFlight = r.inFlight[n:]
	r.stats.Delivered += int64(n)
	r.stats.LastError = err
	if err != nil {
		r.stats.Failed++
	}
	r.mu.Unlock()
	if err != nil {
		r.o.OnError(err)
	}
	return n, err
}
