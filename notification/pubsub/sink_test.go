package pubsub_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gocloud "gocloud.dev/pubsub"
	"gocloud.dev/pubsub/batcher"
	"gocloud.dev/pubsub/mempubsub"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/format"
	"github.com/registrykit/registry/notification/internal/broker/brokertest"
	"github.com/registrykit/registry/notification/pubsub"
)

// memory returns a topic in memory and a subscription of it.
func memory(t *testing.T) (*gocloud.Topic, *gocloud.Subscription) {
	t.Helper()
	topic := mempubsub.NewTopic()
	sub := mempubsub.NewSubscription(topic, time.Minute)
	t.Cleanup(func() {
		_ = sub.Shutdown(context.Background())
		_ = topic.Shutdown(context.Background())
	})
	return topic, sub
}

func receive(t *testing.T, sub *gocloud.Subscription, n int) []*gocloud.Message {
	t.Helper()
	var messages []*gocloud.Message
	for range n {
		m, err := sub.Receive(t.Context())
		require.NoError(t, err)
		m.Ack()
		messages = append(messages, m)
	}
	return messages
}

func TestNotifySendsMessage(t *testing.T) {
	topic, sub := memory(t)
	sink, err := pubsub.New(topic, nil)
	require.NoError(t, err)
	e := brokertest.Events(1)[0]
	require.NoError(t, sink.Notify(t.Context(), []notification.Event{e}))

	m := receive(t, sub, 1)[0]
	require.Equal(t, e.ID, m.Metadata["id"])
	require.Equal(t, "push", m.Metadata["action"])
	require.Equal(t, "ann/app", m.Metadata["repository"])
	require.Contains(t, m.Metadata["content-type"], "application/cloudevents+json")
	var body struct{ SpecVersion, ID string }
	require.NoError(t, json.Unmarshal(m.Body, &body))
	require.Equal(t, "1.0", body.SpecVersion)
	require.Equal(t, e.ID, body.ID)
}

func TestNotifyWithOptions(t *testing.T) {
	topic, sub := memory(t)
	sink, err := pubsub.New(topic, &pubsub.Options{
		Format: format.JSON(),
		BeforeSend: func(e notification.Event, m *gocloud.Message) error {
			m.Metadata["MessageGroupId"], m.Metadata["DeduplicationId"] = e.Repository, e.ID
			return nil
		},
	})
	require.NoError(t, err)
	e := brokertest.Events(1)[0]
	require.NoError(t, sink.Notify(t.Context(), []notification.Event{e}))
	m := receive(t, sub, 1)[0]
	require.JSONEq(t, `{"events": [`+e.String()+`]}`, string(m.Body))
	require.Equal(t, "ann/app", m.Metadata["MessageGroupId"])
	require.Equal(t, e.ID, m.Metadata["DeduplicationId"])
}

// TestNotifyHostileNames sends names that gocloud.dev refuses as metadata.
func TestNotifyHostileNames(t *testing.T) {
	topic, sub := memory(t)
	sink, err := pubsub.New(topic, nil)
	require.NoError(t, err)
	require.NoError(t, sink.Notify(t.Context(), []notification.Event{
		{ID: "1", Action: notification.Push, Repository: "a\xff\r\nb"},
	}))
	require.Equal(t, "a\uFFFD\uFFFD\uFFFDb", receive(t, sub, 1)[0].Metadata["repository"])
}

func TestNotifyReportsExactCount(t *testing.T) {
	topic, sub := memory(t)
	broken := errors.New("broken")
	sink, err := pubsub.New(topic, &pubsub.Options{
		BeforeSend: func(e notification.Event, _ *gocloud.Message) error {
			if e.ID == "7" {
				return broken
			}
			return nil
		},
	})
	require.NoError(t, err)
	events := brokertest.Events(10)
	events[6].ID = "7"
	err = sink.Notify(t.Context(), events)
	require.ErrorIs(t, err, broken)
	require.NotErrorIs(t, err, notification.ErrRefused)
	require.Equal(t, 6, notification.Delivered(err, len(events)))
	receive(t, sub, 6)
}

func TestNotifyTooLargeIsRefused(t *testing.T) {
	topic := mempubsub.NewTopicWithOptions(&mempubsub.TopicOptions{
		BatcherOptions: batcher.Options{MaxBatchByteSize: 1000},
	})
	t.Cleanup(func() { _ = topic.Shutdown(context.Background()) })
	sink, err := pubsub.New(topic, nil)
	require.NoError(t, err)
	events := brokertest.Events(3)
	events[1].Tags = make([]string, 1000)
	err = sink.Notify(t.Context(), events)
	require.ErrorIs(t, err, notification.ErrRefused)
	require.ErrorIs(t, err, batcher.ErrMessageTooLarge)
	require.Equal(t, 1, notification.Delivered(err, len(events)))
}

func TestNotifyTopicOfHostIsShutDown(t *testing.T) {
	topic, _ := memory(t)
	sink, err := pubsub.New(topic, nil)
	require.NoError(t, err)
	require.NoError(t, sink.Shutdown(t.Context()))
	require.NoError(t, sink.Notify(t.Context(), brokertest.Events(1)), "Shutdown does not end the topic of the host")

	require.NoError(t, topic.Shutdown(t.Context()))
	err = sink.Notify(t.Context(), brokertest.Events(1))
	require.ErrorContains(t, err, "has been Shutdown")
	require.NotErrorIs(t, err, notification.ErrRefused)
}

func TestNotifyCancelled(t *testing.T) {
	topic, _ := memory(t)
	sink, err := pubsub.New(topic, nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, sink.Notify(ctx, brokertest.Events(1)), context.Canceled)
}

// TestReopenAfterErrors opens a topic that its owner shuts down, so that the sink must open
// another one.
func TestReopenAfterErrors(t *testing.T) {
	var opened, closed int
	var current *gocloud.Topic
	down := errors.New("down")
	failing := true
	sink, err := pubsub.Reopen(func(context.Context) (*gocloud.Topic, func(), error) {
		if failing {
			return nil, nil, down
		}
		opened++
		current = mempubsub.NewTopic()
		return current, func() { closed++ }, nil
	}, nil)
	require.NoError(t, err)
	events := brokertest.Events(3)
	require.ErrorIs(t, sink.Notify(t.Context(), events), down)

	failing = false
	require.NoError(t, sink.Notify(t.Context(), events))
	require.NoError(t, sink.Notify(t.Context(), events))
	require.Equal(t, []int{1, 0}, []int{opened, closed})

	require.NoError(t, current.Shutdown(t.Context()))
	require.Error(t, sink.Notify(t.Context(), events))
	require.Equal(t, []int{1, 1}, []int{opened, closed})
	require.NoError(t, sink.Notify(t.Context(), events))
	require.Equal(t, []int{2, 1}, []int{opened, closed})

	require.NoError(t, sink.Shutdown(t.Context()))
	require.Equal(t, []int{2, 2}, []int{opened, closed})
	require.ErrorContains(t, sink.Notify(t.Context(), events), "the sink was shut down")
	require.NoError(t, sink.Shutdown(t.Context()))
}

// TestReopenOpensOnce calls Notify from many goroutines. One opens the topic, which takes long, and
// those that wait obey their contexts.
func TestReopenOpensOnce(t *testing.T) {
	opening, proceed := make(chan struct{}), make(chan struct{})
	opened := 0
	sink, err := pubsub.Reopen(func(context.Context) (*gocloud.Topic, func(), error) {
		opened++
		close(opening)
		<-proceed
		return mempubsub.NewTopic(), nil, nil
	}, nil)
	require.NoError(t, err)
	results := make(chan error)
	notify := func() { results <- sink.Notify(t.Context(), brokertest.Events(1)) }
	go notify()
	<-opening
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, sink.Notify(ctx, brokertest.Events(1)), context.Canceled)
	for range 7 {
		go notify()
	}
	close(proceed)
	for range 8 {
		require.NoError(t, <-results)
	}
	require.Equal(t, 1, opened)
	require.NoError(t, sink.Shutdown(t.Context()))
}

func TestNewInvalid(t *testing.T) {
	topic, _ := memory(t)
	_, err := pubsub.New(nil, nil)
	require.ErrorContains(t, err, "no topic")
	_, err = pubsub.Reopen(nil, nil)
	require.ErrorContains(t, err, "no function")
	_, err = pubsub.New(topic, &pubsub.Options{Timeout: -1})
	require.ErrorContains(t, err, "negative timeout")
}
