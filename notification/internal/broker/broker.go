// Package broker turns events into the messages of message brokers. It is shared by the packages
// nats, kafka and pubsub, so that an event has the same id, key, attributes and body on each of
// them.
package broker

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/format"
)

// DefaultTimeout is the time that the broker has to acknowledge a message, unless the options of
// the sink say otherwise.
const DefaultTimeout = 10 * time.Second

// The names of the attributes of each message. An attribute whose value is empty is left out.
const (
	AttributeID          = "id"
	AttributeAction      = "action"
	AttributeRepository  = "repository"
	AttributeContentType = "content-type"
)

// Message is a message for a broker.
type Message struct {
	// Event is the event that the message is about.
	Event notification.Event
	// ID identifies the message: all attempts to send it have the same one.
	ID string
	// Key is the repository, or "" for an event without one. A broker keeps the order of messages
	// that have the same key.
	Key string
	// Attributes are the headers of the message: those of the constants above, and those of the
	// format in lower case. They are valid UTF-8 without control characters.
	Attributes map[string]string
	// Body is the event in the format of the sink.
	Body []byte
}

// Sender sends the messages of events, one after the other.
type Sender struct {
	// Format makes the bodies.
	Format format.Format
	// Timeout is the time that each message has.
	Timeout time.Duration
	// Send sends one message, and returns when the broker has acknowledged it.
	Send func(ctx context.Context, m Message) error
}

// NewSender returns a Sender. A nil format means CloudEvents in structured mode, and a zero timeout
// means DefaultTimeout. An error is returned if timeout is negative.
func NewSender(f format.Format, timeout time.Duration, send func(context.Context, Message) error) (*Sender, error) {
	switch {
	case timeout < 0:
		return nil, fmt.Errorf("negative timeout %s", timeout)
	case timeout == 0:
		timeout = DefaultTimeout
	}
	if f == nil {
		f = format.CloudEvents(format.Structured, nil)
	}
	return &Sender{Format: f, Timeout: timeout, Send: send}, nil
}

// Notify implements notification.Sink. It sends each event on its own and stops at the first error,
// so that no event overtakes an earlier one. An event that the format cannot express is an error
// that wraps notification.ErrRefused; one that the format leaves out counts as delivered.
func (s *Sender) Notify(ctx context.Context, events []notification.Event) error {
	for i, e := range events {
		if err := s.event(ctx, e); err != nil {
			return notification.Partial(i, fmt.Errorf("event %s: %w", e.ID, err))
		}
	}
	return nil
}

func (s *Sender) event(ctx context.Context, e notification.Event) error {
	bodies, err := s.Format.Encode([]notification.Event{e})
	if err != nil {
		return fmt.Errorf("%w: %w", notification.ErrRefused, err)
	}
	for _, b := range bodies {
		if err := s.message(ctx, newMessage(e, b)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sender) message(ctx context.Context, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	return s.Send(ctx, m)
}

func newMessage(e notification.Event, b format.Message) Message {
	m := Message{Event: e, ID: b.ID, Key: e.Repository, Body: b.Body, Attributes: map[string]string{}}
	set := func(name, value string) {
		if value != "" {
			m.Attributes[name] = printable(value)
		}
	}
	for name, values := range b.Header {
		set(strings.ToLower(name), strings.Join(values, ", "))
	}
	set(AttributeID, b.ID)
	set(AttributeAction, string(e.Action))
	set(AttributeRepository, e.Repository)
	set(AttributeContentType, b.ContentType)
	return m
}

// printable replaces what the headers of some broker cannot hold: control characters, which would
// end a header, and invalid UTF-8.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
