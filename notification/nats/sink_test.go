package nats_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/format"
	"github.com/registrykit/registry/notification/internal/broker/brokertest"
	"github.com/registrykit/registry/notification/nats"
)

// fast gives the server less time than the default. A message that is sent while the server stops
// costs the whole time.
var fast = &nats.Options{Timeout: 300 * time.Millisecond}

// newSink returns a sink of a server that has the stream.
func newSink(t *testing.T, opts *nats.Options) (*nats.Sink, *testServer, jetstream.JetStream) {
	t.Helper()
	srv := startServer(t)
	js := srv.connect()
	srv.stream(js)
	sink, err := nats.New(js, opts)
	require.NoError(t, err)
	return sink, srv, js
}

func received(messages []*jetstream.RawStreamMsg) []brokertest.Received {
	var out []brokertest.Received
	for _, m := range messages {
		out = append(out, brokertest.Received{ID: m.Header.Get("Nats-Msg-Id"), Repository: m.Header.Get("repository")})
	}
	return out
}

func TestNotifyStoresMessage(t *testing.T) {
	sink, srv, js := newSink(t, nil)
	e := brokertest.Events(1)[0]
	require.NoError(t, sink.Notify(t.Context(), []notification.Event{e}))

	messages := srv.stored(js)
	require.Len(t, messages, 1)
	m := messages[0]
	require.Equal(t, "registry.events.push.ann.app", m.Subject)
	require.Equal(t, e.ID, m.Header.Get("Nats-Msg-Id"))
	require.Equal(t, e.ID, m.Header.Get("id"))
	require.Equal(t, "push", m.Header.Get("action"))
	require.Equal(t, "ann/app", m.Header.Get("repository"))
	require.Contains(t, m.Header.Get("content-type"), "application/cloudevents+json")
	var body struct{ SpecVersion, ID string }
	require.NoError(t, json.Unmarshal(m.Data, &body))
	require.Equal(t, "1.0", body.SpecVersion)
	require.Equal(t, e.ID, body.ID)
}

func TestNotifyWithOptions(t *testing.T) {
	sink, srv, js := newSink(t, &nats.Options{Subject: "registry.events.{kind}", Format: format.JSON()})
	e := brokertest.Events(1)[0]
	require.NoError(t, sink.Notify(t.Context(), []notification.Event{e}))
	m := srv.stored(js)[0]
	require.Equal(t, "registry.events.manifest", m.Subject)
	require.JSONEq(t, `{"events": [`+e.String()+`]}`, string(m.Data))
}

func TestNotifyBinaryCloudEvent(t *testing.T) {
	sink, srv, js := newSink(t, &nats.Options{Format: format.CloudEvents(format.Binary, nil)})
	e := brokertest.Events(1)[0]
	require.NoError(t, sink.Notify(t.Context(), []notification.Event{e}))
	m := srv.stored(js)[0]
	require.Equal(t, "1.0", m.Header.Get("ce-specversion"))
	require.Equal(t, e.ID, m.Header.Get("ce-id"))
	require.Equal(t, "ann/app", m.Header.Get("ce-partitionkey"))
	require.JSONEq(t, e.String(), string(m.Data))
}

func TestNotifyRepeatedIsStoredOnce(t *testing.T) {
	sink, srv, js := newSink(t, nil)
	events := brokertest.Events(3)
	for range 4 {
		require.NoError(t, sink.Notify(t.Context(), events))
	}
	require.Len(t, srv.stored(js), 3)
	require.Zero(t, brokertest.RequireDelivered(t, events, received(srv.stored(js))))
}

// TestNotifyHostileNames sends names that would break a subject or a header if they were not
// escaped. Registries accept none of them; a host can put them into events of its own.
func TestNotifyHostileNames(t *testing.T) {
	sink, srv, js := newSink(t, nil)
	names := []string{
		"a b", "a.b", "a..b", "..", "a//b", "*", ">", "a/*/b", "\r\nPUB registry.events.forged 0\r\n\r\n", "a\tb\x00",
		"\xff\xfe", "ü/日本", "$JS/API/STREAM/DELETE/REGISTRY", strings.Repeat("a/", 127) + "b",
	}
	for _, name := range names {
		e := notification.Event{ID: notification.NewID(), Action: notification.Push, Repository: name}
		require.NoError(t, sink.Notify(t.Context(), []notification.Event{e}), "%q", name)
	}
	messages := srv.stored(js)
	require.Len(t, messages, len(names))
	for i, name := range names {
		require.Equal(t, "registry.events.push."+nats.Tokens(name), messages[i].Subject)
	}
}

func TestNotifyLongNameIsRefused(t *testing.T) {
	sink, srv, js := newSink(t, nil)
	long := notification.Event{ID: "1", Action: notification.Push, Repository: strings.Repeat("a", 5000)}
	require.ErrorIs(t, sink.Notify(t.Context(), []notification.Event{long}), notification.ErrRefused)
	// The connection still works.
	require.NoError(t, sink.Notify(t.Context(), brokertest.Events(1)))
	require.Len(t, srv.stored(js), 1)

	// Without the repository in its subject, the message has it in a header only.
	sink, err := nats.New(js, &nats.Options{Subject: "registry.events.all"})
	require.NoError(t, err)
	long.Repository = strings.Repeat("a", 70<<10)
	require.ErrorIs(t, sink.Notify(t.Context(), []notification.Event{long}), notification.ErrRefused)
	require.NoError(t, sink.Notify(t.Context(), brokertest.Events(1)))
	require.Len(t, srv.stored(js), 2)
}

func TestNotifyTooLargeIsRefused(t *testing.T) {
	srv := startServer(t)
	js := srv.connect()
	srv.stream(js, func(c *jetstream.StreamConfig) { c.MaxMsgSize = 10 << 10 })
	sink, err := nats.New(js, nil)
	require.NoError(t, err)

	for _, size := range []int{20 << 10 /* the limit of the stream */, 300 << 10 /* that of the server */} {
		events := brokertest.Events(3)
		events[2].Actor = strings.Repeat("x", size)
		err := sink.Notify(t.Context(), events)
		require.ErrorIs(t, err, notification.ErrRefused)
		require.Equal(t, 2, notification.Delivered(err, len(events)))
	}
	require.Len(t, srv.stored(js), 4)
}

// TestNotifyWithoutStreamIsNotRefused checks that an event waits for a stream, instead of being
// given up.
func TestNotifyWithoutStreamIsNotRefused(t *testing.T) {
	srv := startServer(t)
	js := srv.connect()
	sink, err := nats.New(js, nil)
	require.NoError(t, err)
	events := brokertest.Events(2)
	err = sink.Notify(t.Context(), events)
	require.ErrorIs(t, err, jetstream.ErrNoStreamResponse)
	require.NotErrorIs(t, err, notification.ErrRefused)
	require.Zero(t, notification.Delivered(err, len(events)))

	srv.stream(js)
	require.NoError(t, sink.Notify(t.Context(), events))
	brokertest.RequireDelivered(t, events, received(srv.stored(js)))
}

// TestNotifyStreamIsFull checks that Notify reports an event that the stream does not store.
func TestNotifyStreamIsFull(t *testing.T) {
	srv := startServer(t)
	js := srv.connect()
	srv.stream(js, func(c *jetstream.StreamConfig) { c.MaxMsgs, c.Discard = 3, jetstream.DiscardNew })
	sink, err := nats.New(js, nil)
	require.NoError(t, err)
	events := brokertest.Events(5)
	err = sink.Notify(t.Context(), events)
	require.ErrorContains(t, err, "maximum messages exceeded")
	require.NotErrorIs(t, err, notification.ErrRefused)
	require.Equal(t, 3, notification.Delivered(err, len(events)))

	stream, err := js.Stream(t.Context(), "REGISTRY")
	require.NoError(t, err)
	require.NoError(t, stream.Purge(t.Context()))
	require.NoError(t, sink.Notify(t.Context(), events[3:]))
	brokertest.RequireDelivered(t, events[3:], received(srv.stored(js)))
}

// TestNotifyServerDownAndBack stops the server in the middle. What was acknowledged is still
// there when it comes back, and the others are delivered then.
func TestNotifyServerDownAndBack(t *testing.T) {
	sink, srv, js := newSink(t, fast)
	events := brokertest.Events(20)
	require.NoError(t, sink.Notify(t.Context(), events[:10]))

	srv.stop()
	err := sink.Notify(t.Context(), events[10:])
	require.Error(t, err)
	require.NotErrorIs(t, err, notification.ErrRefused)
	require.Zero(t, notification.Delivered(err, 10))

	srv.start()
	require.Eventually(t, func() bool { return sink.Notify(t.Context(), events[10:]) == nil },
		10*time.Second, 10*time.Millisecond)
	require.Zero(t, brokertest.RequireDelivered(t, events, received(srv.stored(js))))
}

// TestNotifyServerIsDownAtStart starts the client before the server.
func TestNotifyServerIsDownAtStart(t *testing.T) {
	srv := startServer(t)
	srv.stream(srv.connect())
	srv.stop()
	js := srv.connect()
	sink, err := nats.New(js, fast)
	require.NoError(t, err)
	events := brokertest.Events(5)
	require.Error(t, sink.Notify(t.Context(), events))
	srv.start()
	require.Eventually(t, func() bool { return sink.Notify(t.Context(), events) == nil },
		10*time.Second, 10*time.Millisecond)
	brokertest.RequireDelivered(t, events, received(srv.stored(js)))
}

// TestNotifyServerDoesNotRespond uses a server that accepts the connection and the message, and
// never acknowledges: one without JetStream whose subject has another subscriber.
func TestNotifyServerDoesNotRespond(t *testing.T) {
	srv := startServer(t)
	js := srv.connect()
	sub, err := js.Conn().SubscribeSync("registry.events.>")
	require.NoError(t, err)
	require.NoError(t, js.Conn().Flush())

	sink, err := nats.New(js, &nats.Options{Timeout: 50 * time.Millisecond})
	require.NoError(t, err)
	err = sink.Notify(t.Context(), brokertest.Events(3))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Zero(t, notification.Delivered(err, 3))
	_, err = sub.NextMsg(time.Second)
	require.NoError(t, err) // the message did arrive

	sink, err = nats.New(js, nil)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, sink.Notify(ctx, brokertest.Events(3)), context.DeadlineExceeded)
}

func TestNotifyCancelled(t *testing.T) {
	sink, srv, js := newSink(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, sink.Notify(ctx, brokertest.Events(1)), context.Canceled)
	require.Empty(t, srv.stored(js))
}

func TestNewInvalid(t *testing.T) {
	js := startServer(t).connect()
	_, err := nats.New(nil, nil)
	require.ErrorContains(t, err, "no publisher")
	_, err = nats.New(js, &nats.Options{Subject: "a b"})
	require.ErrorContains(t, err, `invalid token "a b"`)
	_, err = nats.New(js, &nats.Options{Timeout: -1})
	require.ErrorContains(t, err, "negative timeout")
}

// TestOutboxServerDown is the proof that nothing is lost behind an outbox.
func TestOutboxServerDown(t *testing.T) {
	sink, srv, js := newSink(t, fast)
	srv.stop()
	brokertest.TestOutage(t, sink, srv.start, func() []brokertest.Received { return received(srv.stored(js)) })
}
