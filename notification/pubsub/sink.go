package pubsub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gocloud.dev/gcerrors"
	gocloud "gocloud.dev/pubsub"
	"gocloud.dev/pubsub/batcher"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/format"
	"github.com/registrykit/registry/notification/internal/broker"
)

// Options are the optional parameters of [New] and [Reopen]. The zero value is ready to use.
type Options struct {
	// Format makes the body of each message. Default: format.CloudEvents in structured mode.
	Format format.Format
	// Timeout is the time that the broker has to accept one event, which includes the time to open
	// the topic. Default: 10 seconds.
	Timeout time.Duration
	// BeforeSend is called with each message before it is sent. It may add metadata, such as the
	// MessageGroupId of Amazon SQS, and set m.BeforeSend to change the message of the driver, such
	// as the OrderingKey of Google Cloud Pub/Sub. If it returns an error, Notify returns it, and the
	// event is not sent. Default: nothing is changed.
	BeforeSend func(e notification.Event, m *gocloud.Message) error
}

// Sink sends events to a topic. It implements notification.Sink. Its methods may be called
// concurrently.
type Sink struct {
	topic  *topic
	sender *broker.Sender
	before func(notification.Event, *gocloud.Message) error
}

// New returns a Sink for a topic. The host shuts the topic down.
//
// An error is returned if the topic is nil or the timeout is negative.
func New(t *gocloud.Topic, opts *Options) (*Sink, error) {
	if t == nil {
		return nil, errors.New("notification/pubsub: no topic")
	}
	return newSink(newTopic(nil, &opened{Topic: t}), opts)
}

// Opener opens a topic. The function that it returns, if it is not nil, is called once after the
// topic was shut down. It closes what the topic needs, such as a connection. It must return soon
// although the broker may be down, so it closes a connection to RabbitMQ with CloseDeadline.
type Opener func(ctx context.Context) (t *gocloud.Topic, closed func(), err error)

// Reopen returns a Sink that opens its topic when it gets the first event, and again for the next
// event after an error. The broker may be down when the program starts. Call [Sink.Shutdown] at the
// end.
//
// An error is returned if open is nil or the timeout is negative.
func Reopen(open Opener, opts *Options) (*Sink, error) {
	if open == nil {
		return nil, errors.New("notification/pubsub: no function to open the topic")
	}
	return newSink(newTopic(open, nil), opts)
}

func newSink(t *topic, opts *Options) (*Sink, error) {
	o := options.Value(opts)
	s := &Sink{topic: t, before: o.BeforeSend}
	var err error
	if s.sender, err = broker.NewSender(o.Format, o.Timeout, s.send); err != nil {
		return nil, fmt.Errorf("notification/pubsub: %w", err)
	}
	return s, nil
}

// Notify sends each event and waits until the broker has accepted it. It stops at the first error,
// which is a notification.PartialError if earlier events were accepted. Every call may be repeated.
//
// An error wraps notification.ErrRefused if the driver calls the message invalid or too large.
func (s *Sink) Notify(ctx context.Context, events []notification.Event) error {
	if err := s.sender.Notify(ctx, events); err != nil {
		return fmt.Errorf("notification/pubsub: %w", err)
	}
	return nil
}

// Shutdown shuts down the topic of a Sink of [Reopen]. Later calls of Notify fail. It does nothing
// for a Sink of [New].
func (s *Sink) Shutdown(ctx context.Context) error {
	if err := s.topic.shutdown(ctx); err != nil {
		return fmt.Errorf("notification/pubsub: %w", err)
	}
	return nil
}

func (s *Sink) send(ctx context.Context, m broker.Message) error {
	message := &gocloud.Message{Body: m.Body, Metadata: m.Attributes}
	if s.before != nil {
		if err := s.before(m.Event, message); err != nil {
			return fmt.Errorf("BeforeSend: %w", err)
		}
	}
	t, err := s.topic.get(ctx)
	if err != nil {
		return err
	}
	err = t.Send(ctx, message)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, batcher.ErrMessageTooLarge), gcerrors.Code(err) == gcerrors.InvalidArgument:
		return fmt.Errorf("%w: %w", notification.ErrRefused, err)
	}
	s.topic.failed(t)
	return err
}
