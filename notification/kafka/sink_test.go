package kafka_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/format"
	"github.com/registrykit/registry/notification/internal/broker/brokertest"
	"github.com/registrykit/registry/notification/kafka"
)

// fast gives the broker less time than the default.
var fast = &kafka.Options{Timeout: 300 * time.Millisecond}

func newSink(t *testing.T, opts *kafka.Options) (*kafka.Sink, *testCluster) {
	t.Helper()
	cluster := startCluster(t, kfake.SeedTopics(3, topic))
	sink, err := kafka.New(cluster.client(), topic, opts)
	require.NoError(t, err)
	return sink, cluster
}

func TestNotifyStoresRecord(t *testing.T) {
	sink, cluster := newSink(t, nil)
	e := brokertest.Events(1)[0]
	require.NoError(t, sink.Notify(t.Context(), []notification.Event{e}))

	records := cluster.stored()
	require.Len(t, records, 1)
	r := records[0]
	require.Equal(t, "ann/app", string(r.Key))
	require.Equal(t, e.ID, header(r, "id"))
	require.Equal(t, "push", header(r, "action"))
	require.Equal(t, "ann/app", header(r, "repository"))
	require.Contains(t, header(r, "content-type"), "application/cloudevents+json")
	var body struct{ SpecVersion, ID string }
	require.NoError(t, json.Unmarshal(r.Value, &body))
	require.Equal(t, "1.0", body.SpecVersion)
	require.Equal(t, e.ID, body.ID)
}

func TestNotifyBinaryCloudEvent(t *testing.T) {
	sink, cluster := newSink(t, &kafka.Options{Format: format.CloudEvents(format.Binary, nil)})
	e := brokertest.Events(1)[0]
	require.NoError(t, sink.Notify(t.Context(), []notification.Event{e}))
	r := cluster.stored()[0]
	require.Equal(t, "1.0", header(r, "ce_specversion"))
	require.Equal(t, e.ID, header(r, "ce_id"))
	require.JSONEq(t, e.String(), string(r.Value))
}

func TestNotifyEventWithoutRepositoryHasNoKey(t *testing.T) {
	sink, cluster := newSink(t, nil)
	require.NoError(t, sink.Notify(t.Context(), []notification.Event{{ID: "1", Action: notification.Missing}}))
	require.Nil(t, cluster.stored()[0].Key)
}

// TestNotifyKeepsOrderPerRepository calls Notify from several goroutines, each with events of its
// own repositories, as the streams of an outbox do.
func TestNotifyKeepsOrderPerRepository(t *testing.T) {
	sink, cluster := newSink(t, nil)
	events := brokertest.Events(200)
	byRepository := map[string][]notification.Event{}
	for _, e := range events {
		byRepository[e.Repository] = append(byRepository[e.Repository], e)
	}
	errs := make(chan error, len(byRepository))
	for _, own := range byRepository {
		go func() { errs <- sink.Notify(t.Context(), own) }()
	}
	for range byRepository {
		require.NoError(t, <-errs)
	}
	require.Zero(t, brokertest.RequireDelivered(t, events, received(cluster.stored())))
}

func TestNotifyTooLargeIsRefused(t *testing.T) {
	for name, size := range map[string]int{"for the topic": 200 << 10, "for the client": 2 << 20} {
		t.Run(name, func(t *testing.T) {
			cluster := startCluster(t, kfake.SeedTopics(3, topic),
				kfake.BrokerConfigs(map[string]string{"message.max.bytes": "100000"}))
			sink, err := kafka.New(cluster.client(kgo.ProducerBatchCompression(kgo.NoCompression())), topic, nil)
			require.NoError(t, err)
			events := brokertest.Events(5)
			events[2].Actor = strings.Repeat("x", size)
			err = sink.Notify(t.Context(), events)
			require.ErrorIs(t, err, notification.ErrRefused)
			require.ErrorIs(t, err, kerr.MessageTooLarge)
			require.Equal(t, 2, notification.Delivered(err, len(events)))

			// The outbox goes on without the event.
			require.NoError(t, sink.Notify(t.Context(), events[3:]))
			brokertest.RequireDelivered(t, append(events[:2:2], events[3:]...), received(cluster.stored()))
		})
	}
}

func TestNotifyTopicIsMissing(t *testing.T) {
	cluster := startCluster(t)
	sink, err := kafka.New(cluster.client(), topic, nil)
	require.NoError(t, err)
	events := brokertest.Events(3)
	err = sink.Notify(t.Context(), events)
	require.ErrorIs(t, err, kerr.UnknownTopicOrPartition)
	require.NotErrorIs(t, err, notification.ErrRefused)
	require.Zero(t, notification.Delivered(err, len(events)))

	require.NoError(t, cluster.CreateTopic(topic, 3, nil))
	require.NoError(t, sink.Notify(t.Context(), events))
	brokertest.RequireDelivered(t, events, received(cluster.stored()))
}

// TestNotifyReportsExactCount makes the broker refuse the seventh record, in each way in which a
// broker fails for a while.
func TestNotifyReportsExactCount(t *testing.T) {
	for _, fault := range []*kerr.Error{kerr.NotEnoughReplicas, kerr.TopicAuthorizationFailed, kerr.InvalidRecord} {
		t.Run(fault.Message, func(t *testing.T) {
			cluster := startCluster(t, kfake.SeedTopics(3, topic))
			client := cluster.client()
			// Six records must be stored within the time, also on a busy machine.
			sink, err := kafka.New(client, topic, &kafka.Options{Timeout: 3 * time.Second})
			require.NoError(t, err)
			events := brokertest.Events(10)
			n, last := 0, kmsg.Request(nil)
			handle := cluster.Fault(kfake.Fault{
				Keys: []kmsg.Key{kmsg.Produce}, Err: fault, Count: -1,
				When: func(r kmsg.Request) bool { // called more than once for each request
					if r != last {
						n, last = n+1, r
					}
					return n > 6
				},
			})
			err = sink.Notify(t.Context(), events)
			require.Error(t, err)
			require.Equal(t, 6, notification.Delivered(err, len(events)))
			require.Equal(t, fault == kerr.InvalidRecord, errors.Is(err, notification.ErrRefused))

			// A request of the client may still be on its way. The broker must refuse it, too.
			client.Close()
			client = cluster.client()
			require.NoError(t, client.Ping(t.Context()))
			handle.Remove()
			sink, err = kafka.New(client, topic, nil)
			require.NoError(t, err)
			require.NoError(t, sink.Notify(t.Context(), events[6:]))
			require.Zero(t, brokertest.RequireDelivered(t, events, received(cluster.stored())))
		})
	}
}

// TestNotifyResponseIsLost stores a record without acknowledging it. The client of franz-go sends
// it again, and the broker knows it.
func TestNotifyResponseIsLost(t *testing.T) {
	sink, cluster := newSink(t, nil)
	handle := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicasAfterAppend, Count: 2})
	events := brokertest.Events(4)
	require.NoError(t, sink.Notify(t.Context(), events))
	require.EqualValues(t, 2, handle.Hits())
	require.Zero(t, brokertest.RequireDelivered(t, events, received(cluster.stored())))
}

// TestNotifyBrokerDownAndBack stops the broker in the middle, for longer than several attempts.
func TestNotifyBrokerDownAndBack(t *testing.T) {
	sink, cluster := newSink(t, fast)
	events := brokertest.Events(40)
	require.NoError(t, sink.Notify(t.Context(), events[:10]))

	cluster.Close()
	for range 3 {
		err := sink.Notify(t.Context(), events[10:])
		require.Error(t, err)
		require.NotErrorIs(t, err, notification.ErrRefused)
		require.Zero(t, notification.Delivered(err, 30))
	}

	cluster.start()
	require.Eventually(t, func() bool { return sink.Notify(t.Context(), events[10:]) == nil },
		20*time.Second, 10*time.Millisecond)
	brokertest.RequireDelivered(t, events, received(cluster.stored()))
}

// TestNotifyBrokerDoesNotRespond uses an address that accepts connections and says nothing.
func TestNotifyBrokerDoesNotRespond(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	client := (&testCluster{t: t, addr: l.Addr().String()}).client()
	sink, err := kafka.New(client, topic, fast)
	require.NoError(t, err)
	err = sink.Notify(t.Context(), brokertest.Events(2))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Zero(t, notification.Delivered(err, 2))
}

// TestNotifyCancelledInFlight cancels the call while the broker works on the record.
func TestNotifyCancelledInFlight(t *testing.T) {
	sink, cluster := newSink(t, nil)
	events := brokertest.Events(3)
	require.NoError(t, sink.Notify(t.Context(), events[:1]))

	arrived, proceed := make(chan struct{}), make(chan struct{})
	var first sync.Once
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		first.Do(func() {
			close(arrived)
			cluster.SleepControl(func() { <-proceed })
		})
		return nil, nil, false
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- sink.Notify(ctx, events[1:]) }()
	<-arrived
	cancel()
	require.ErrorIs(t, <-result, context.Canceled)
	close(proceed)

	require.NoError(t, sink.Notify(t.Context(), events[1:]))
	brokertest.RequireDelivered(t, events, received(cluster.stored()))
}

func TestNotifyCancelled(t *testing.T) {
	sink, cluster := newSink(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, sink.Notify(ctx, brokertest.Events(1)), context.Canceled)
	require.Empty(t, cluster.stored())
}

func TestNewInvalid(t *testing.T) {
	cluster := &testCluster{t: t, addr: "127.0.0.1:1"} // not dialled
	for want, c := range map[string]*kgo.Client{
		"no client":            nil,
		"all in-sync replicas": cluster.client(kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()),
		"disabled idempotent":  cluster.client(kgo.DisableIdempotentWrite()),
		"not allow to cancel":  plainClient(t),
		"no topic":             cluster.client(),
	} {
		_, err := kafka.New(c, map[bool]string{true: "", false: topic}[want == "no topic"], nil)
		require.ErrorContains(t, err, want)
	}
	_, err := kafka.New(cluster.client(), topic, &kafka.Options{Timeout: -1})
	require.ErrorContains(t, err, "negative timeout")
}

// plainClient has none of the options.
func plainClient(t *testing.T) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient()
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// TestOutboxBrokerDown is the proof that nothing is lost behind an outbox.
func TestOutboxBrokerDown(t *testing.T) {
	sink, cluster := newSink(t, fast)
	cluster.Close()
	brokertest.TestOutage(t, sink, func() { cluster.start() },
		func() []brokertest.Received { return received(cluster.stored()) })
}
