package pubsub_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	gocloud "gocloud.dev/pubsub"
	"gocloud.dev/pubsub/rabbitpubsub"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/internal/broker/brokertest"
	"github.com/registrykit/registry/notification/pubsub"
)

// TestRabbit runs its parts on one server, because a server takes seconds to start.
func TestRabbit(t *testing.T) {
	s := startRabbit(t)
	run := func(name string, part func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			s.t = t
			part(t)
		})
	}
	run("unroutable", s.testUnroutable)
	run("queue is full", s.testQueueIsFull)
	run("does not respond", s.testDoesNotRespond)
	run("killed and back", s.testKilledAndBack)
}

// declare declares a durable exchange and, if it has arguments, a durable queue of the same name.
func (s *rabbitServer) declare(name string, queue amqp.Table) {
	s.t.Helper()
	ch := s.channel()
	require.NoError(s.t, ch.ExchangeDeclare(name, amqp.ExchangeFanout, true, false, false, false, nil))
	if queue == nil {
		return
	}
	_, err := ch.QueueDeclare(name, true, false, false, false, queue)
	require.NoError(s.t, err)
	require.NoError(s.t, ch.QueueBind(name, "", name, false, nil))
}

// drain takes all messages out of a queue.
func (s *rabbitServer) drain(name string) []brokertest.Received {
	s.t.Helper()
	ch := s.channel()
	var out []brokertest.Received
	for {
		m, ok, err := ch.Get(name, true)
		require.NoError(s.t, err)
		if !ok {
			return out
		}
		id, _ := m.Headers["id"].(string)
		repository, _ := m.Headers["repository"].(string)
		out = append(out, brokertest.Received{ID: id, Repository: repository})
	}
}

// sink returns a sink that connects again after an error, and a counter of its open connections.
func (s *rabbitServer) sink(t *testing.T, exchange string) (*pubsub.Sink, *atomic.Int32) {
	t.Helper()
	var connections atomic.Int32
	sink, err := pubsub.Reopen(func(context.Context) (*gocloud.Topic, func(), error) {
		conn, err := s.dial()
		if err != nil {
			return nil, nil, err
		}
		connections.Add(1)
		return rabbitpubsub.OpenTopic(conn, exchange, nil), func() {
			_ = conn.CloseDeadline(time.Now().Add(100 * time.Millisecond))
			connections.Add(-1)
		}, nil
	}, &pubsub.Options{Timeout: 2 * time.Second, BeforeSend: persistent})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, sink.Shutdown(context.Background()))
		require.Zero(t, connections.Load())
	})
	return sink, &connections
}

// persistent makes RabbitMQ keep a message in a crash, before it confirms it.
func persistent(e notification.Event, m *gocloud.Message) error {
	m.BeforeSend = func(as func(any) bool) error {
		var p *amqp.Publishing
		if !as(&p) {
			return errors.New("not a topic of RabbitMQ")
		}
		p.DeliveryMode, p.MessageId, p.ContentType = amqp.Persistent, e.ID, m.Metadata["content-type"]
		return nil
	}
	return nil
}

// testUnroutable sends to an exchange that does not exist, and then to one without a queue.
// RabbitMQ confirms messages of the latter and drops them; the driver asks for their return.
func (s *rabbitServer) testUnroutable(t *testing.T) {
	sink, _ := s.sink(t, "unroutable")
	events := brokertest.Events(3)
	for _, want := range []string{"NOT_FOUND", "NO_ROUTE"} {
		err := sink.Notify(t.Context(), events)
		require.ErrorContains(t, err, want)
		require.NotErrorIs(t, err, notification.ErrRefused)
		require.Zero(t, notification.Delivered(err, len(events)))
		s.declare("unroutable", nil)
	}
	s.declare("unroutable", amqp.Table{})
	require.NoError(t, sink.Notify(t.Context(), events))
	require.Zero(t, brokertest.RequireDelivered(t, events, s.drain("unroutable")))
}

// testQueueIsFull makes RabbitMQ refuse the sixth message with a negative confirm.
func (s *rabbitServer) testQueueIsFull(t *testing.T) {
	s.declare("full", amqp.Table{"x-max-length": 5, "x-overflow": "reject-publish"})
	sink, _ := s.sink(t, "full")
	events := brokertest.Events(8)
	err := sink.Notify(t.Context(), events)
	require.ErrorContains(t, err, "ack failed on publish")
	require.Equal(t, 5, notification.Delivered(err, len(events)))
	require.Zero(t, brokertest.RequireDelivered(t, events[:5], s.drain("full")))
	require.NoError(t, sink.Notify(t.Context(), events[5:]))
	require.Zero(t, brokertest.RequireDelivered(t, events[5:], s.drain("full")))
}

// testDoesNotRespond stops the process, so that its connections stay open and are silent.
func (s *rabbitServer) testDoesNotRespond(t *testing.T) {
	s.declare("silent", amqp.Table{})
	sink, connections := s.sink(t, "silent")
	events := brokertest.Events(10)
	require.NoError(t, sink.Notify(t.Context(), events[:5]))

	s.suspend()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := sink.Notify(ctx, events[5:])
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Zero(t, notification.Delivered(err, 5))
	s.resume()

	require.NoError(t, sink.Notify(t.Context(), events[5:]))
	require.EqualValues(t, 1, connections.Load())
	brokertest.RequireDelivered(t, events, s.drain("silent"))
}

// testKilledAndBack kills the server. What it confirmed is still there afterwards, and the other
// events are delivered then, with and without an outbox. A topic that is not opened again stays
// useless.
func (s *rabbitServer) testKilledAndBack(t *testing.T) {
	s.declare("killed", amqp.Table{})
	s.declare("outbox", amqp.Table{})
	sink, _ := s.sink(t, "killed")
	conn, err := s.dial()
	require.NoError(t, err)
	once, err := pubsub.New(rabbitpubsub.OpenTopic(conn, "killed", nil), &pubsub.Options{Timeout: 2 * time.Second})
	require.NoError(t, err)
	events := brokertest.Events(100)
	require.NoError(t, sink.Notify(t.Context(), events[:50]))

	s.kill()
	late, _ := s.sink(t, "killed") // its program starts while the server is down
	for _, sink := range []*pubsub.Sink{sink, late, once} {
		err := sink.Notify(t.Context(), events[50:])
		require.Error(t, err)
		require.NotErrorIs(t, err, notification.ErrRefused)
		require.Zero(t, notification.Delivered(err, 50))
	}
	behind, _ := s.sink(t, "outbox")
	brokertest.TestOutage(t, behind, s.start, func() []brokertest.Received { return s.drain("outbox") })

	require.NoError(t, sink.Notify(t.Context(), events[50:75]))
	require.NoError(t, late.Notify(t.Context(), events[75:]))
	require.Error(t, once.Notify(t.Context(), events[75:]))
	require.Zero(t, brokertest.RequireDelivered(t, events, s.drain("killed")))
}
