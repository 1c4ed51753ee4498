package pubsub

import (
	"context"
	"errors"
	"fmt"

	gocloud "gocloud.dev/pubsub"
)

// errShutdown is returned by Notify after Shutdown.
var errShutdown = errors.New("the sink was shut down")

// topic is the topic of a Sink, which is opened again after an error if there is a function to open
// it. A topic that has failed once may be useless: that of RabbitMQ is after its connection broke,
// and one whose Send did not return in time still tries to send that message, and holds up the next
// one.
type topic struct {
	open Opener        // nil if the host gave the topic
	lock chan struct{} // holds a value while a goroutine uses the fields below

	current *opened // nil if it must be opened
	ended   bool
}

// opened is a topic and what to close after it.
type opened struct {
	*gocloud.Topic
	closed func()
}

func newTopic(open Opener, current *opened) *topic {
	return &topic{open: open, current: current, lock: make(chan struct{}, 1)}
}

// get returns the topic, and opens it if necessary. Only one goroutine opens it.
func (t *topic) get(ctx context.Context) (*opened, error) {
	select {
	case t.lock <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-t.lock }()
	switch {
	case t.ended:
		return nil, errShutdown
	case t.current != nil:
		return t.current, nil
	}
	topic, closed, err := t.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the topic: %w", err)
	}
	t.current = &opened{Topic: topic, closed: closed}
	return t.current, nil
}

// failed makes the next get open the topic again, unless another goroutine has done so. Messages
// that are still being sent are given up: their senders repeat them.
func (t *topic) failed(o *opened) {
	if t.open == nil {
		return
	}
	t.lock <- struct{}{}
	current := t.current == o
	if current {
		t.current = nil
	}
	<-t.lock
	if current {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		_ = o.shutdown(now) // the topic has failed already
	}
}

// shutdown ends a topic that was opened here.
func (t *topic) shutdown(ctx context.Context) error {
	if t.open == nil {
		return nil
	}
	t.lock <- struct{}{}
	o := t.current
	t.current, t.ended = nil, true
	<-t.lock
	if o == nil {
		return nil
	}
	return o.shutdown(ctx)
}

// shutdown waits until messages are sent or ctx ends, and closes the topic.
func (o *opened) shutdown(ctx context.Context) error {
	err := o.Shutdown(ctx)
	if o.closed != nil {
		o.closed()
	}
	return err
}
