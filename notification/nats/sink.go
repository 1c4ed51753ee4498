package nats

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/format"
	"github.com/registrykit/registry/notification/internal/broker"
)

// Publisher is the part of jetstream.JetStream that a [Sink] needs.
type Publisher interface {
	// PublishMsg returns when the server has stored the message.
	PublishMsg(ctx context.Context, msg *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error)
}

// Options are the optional parameters of [New]. The zero value is ready to use.
type Options struct {
	// Subject is the subject of each message: tokens that are separated by dots. Each token is a
	// text, or one of the placeholders {action}, {kind} and {repository}, which become those of the
	// event. {repository} becomes as many tokens as the name has components, see [Tokens]. The
	// placeholder of a property that an event does not have disappears together with its dot.
	// Default: "registry.events.{action}.{repository}".
	Subject string
	// Format makes the body of each message. Default: format.CloudEvents in structured mode.
	Format format.Format
	// Timeout is the time that the server has to acknowledge one event. Default: 10 seconds.
	Timeout time.Duration
}

// Sink sends events to NATS JetStream. It implements notification.Sink. Its methods may be called
// concurrently.
type Sink struct {
	js      Publisher
	subject subject
	sender  *broker.Sender
}

// New returns a Sink that publishes with js. The host closes the connection of js.
//
// An error is returned if js is nil, the subject is not valid, or the timeout is negative.
func New(js Publisher, opts *Options) (*Sink, error) {
	if js == nil {
		return nil, errors.New("notification/nats: no publisher")
	}
	o := options.Value(opts)
	if o.Subject == "" {
		o.Subject = "registry.events.{action}.{repository}"
	}
	subject, err := parseSubject(o.Subject)
	if err != nil {
		return nil, fmt.Errorf("notification/nats: %w", err)
	}
	s := &Sink{js: js, subject: subject}
	if s.sender, err = broker.NewSender(o.Format, o.Timeout, s.send); err != nil {
		return nil, fmt.Errorf("notification/nats: %w", err)
	}
	return s, nil
}

// Notify publishes each event and waits until the server has stored it. It stops at the first
// error, which is a notification.PartialError if earlier events were stored. Every call may be
// repeated.
//
// An error wraps notification.ErrRefused if the server would never take the event: it is larger
// than the limit of the server or the stream, or its subject is longer than 1024 bytes. An error
// without it wraps jetstream.ErrNoStreamResponse if no stream has the subject. That is no refusal:
// the stream may be created later, and a server whose JetStream is not ready responds in the same
// way.
func (s *Sink) Notify(ctx context.Context, events []notification.Event) error {
	if err := s.sender.Notify(ctx, events); err != nil {
		return fmt.Errorf("notification/nats: %w", err)
	}
	return nil
}

func (s *Sink) send(ctx context.Context, m broker.Message) error {
	msg := &nats.Msg{Subject: s.subject.of(m.Event), Header: nats.Header{}, Data: m.Body}
	if len(msg.Subject) > maxSubject {
		return fmt.Errorf("%w: the subject has %d bytes, and may have %d", notification.ErrRefused,
			len(msg.Subject), maxSubject)
	}
	for name, value := range m.Attributes {
		msg.Header.Set(name, value)
	}
	msg.Header.Set(jetstream.MsgIDHeader, m.ID)
	_, err := s.js.PublishMsg(ctx, msg)
	if tooLarge(err) {
		return fmt.Errorf("%w: %w", notification.ErrRefused, err)
	}
	return err
}

// errHeaderTooLarge is the code of the server for headers of more than 64 KiB. Package jetstream
// has no name for it.
const errHeaderTooLarge jetstream.ErrorCode = 10097

func tooLarge(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.ErrorCode == jetstream.JSErrCodeStreamMessageExceedsMaximum || api.ErrorCode == errHeaderTooLarge
	}
	return errors.Is(err, nats.ErrMaxPayload)
}
