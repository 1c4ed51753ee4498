package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/format"
	"github.com/registrykit/registry/notification/internal/broker"
)

// ClientOptions returns the options that the client of a [Sink] needs: acknowledgements of all
// in-sync replicas, and calls that end with their context. Idempotent writes are a default of
// franz-go that must stay on.
func ClientOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()),
		// Without it, a record that a broker may have received could not be cancelled, and Notify
		// would not return while the broker is down. A repeated event can be stored twice.
		kgo.AllowIdempotentProduceCancellation(),
	}
}

// Options are the optional parameters of [New]. The zero value is ready to use.
type Options struct {
	// Format makes the value of each record. Default: format.CloudEvents in structured mode.
	Format format.Format
	// Timeout is the time that the brokers have to acknowledge one event. Default: 10 seconds.
	Timeout time.Duration
}

// Sink sends events to a Kafka topic. It implements notification.Sink. Its methods may be called
// concurrently.
type Sink struct {
	client *kgo.Client
	topic  string
	sender *broker.Sender
}

// New returns a Sink that produces to a topic. The host closes the client.
//
// An error is returned if the client is nil or lacks an option of [ClientOptions], the topic is
// empty, or the timeout is negative.
func New(client *kgo.Client, topic string, opts *Options) (*Sink, error) {
	if err := check(client, topic); err != nil {
		return nil, fmt.Errorf("notification/kafka: %w", err)
	}
	o := options.Value(opts)
	s := &Sink{client: client, topic: topic}
	var err error
	if s.sender, err = broker.NewSender(o.Format, o.Timeout, s.send); err != nil {
		return nil, fmt.Errorf("notification/kafka: %w", err)
	}
	return s, nil
}

// check refuses a client that would lose events, change their order, or not return.
func check(client *kgo.Client, topic string) error {
	switch {
	case client == nil:
		return errors.New("no client")
	case topic == "":
		return errors.New("no topic")
	case client.OptValue(kgo.RequiredAcks) != kgo.AllISRAcks():
		return errors.New("the client does not wait for all in-sync replicas, see ClientOptions")
	case client.OptValue(kgo.DisableIdempotentWrite) == true:
		return errors.New("the client has disabled idempotent writes")
	case client.OptValue(kgo.AllowIdempotentProduceCancellation) != true:
		return errors.New("the client does not allow to cancel records, see ClientOptions")
	}
	return nil
}

// Notify produces each event and waits until all in-sync replicas have it. It stops at the first
// error, which is a notification.PartialError if earlier events were acknowledged. Every call may
// be repeated.
//
// An error wraps notification.ErrRefused if the brokers would never take the event: it is larger
// than the limit of the topic or the client, or invalid. A missing topic is no refusal, because it
// may be created later.
func (s *Sink) Notify(ctx context.Context, events []notification.Event) error {
	if err := s.sender.Notify(ctx, events); err != nil {
		return fmt.Errorf("notification/kafka: %w", err)
	}
	return nil
}

func (s *Sink) send(ctx context.Context, m broker.Message) error {
	record := &kgo.Record{Topic: s.topic, Value: m.Body}
	if m.Key != "" {
		record.Key = []byte(m.Key)
	}
	for _, name := range slices.Sorted(maps.Keys(m.Attributes)) {
		header := kgo.RecordHeader{Key: name, Value: []byte(m.Attributes[name])}
		if attribute, ok := strings.CutPrefix(name, "ce-"); ok {
			header.Key = "ce_" + attribute
		}
		record.Headers = append(record.Headers, header)
	}
	err := s.client.ProduceSync(ctx, record).FirstErr()
	if refused(err) {
		return fmt.Errorf("%w: %w", notification.ErrRefused, err)
	}
	return err
}

func refused(err error) bool {
	return errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) ||
		errors.Is(err, kerr.InvalidRecord)
}
