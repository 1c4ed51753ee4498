package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	gocloud "gocloud.dev/pubsub"
	"gocloud.dev/pubsub/mempubsub"
	"gocloud.dev/pubsub/rabbitpubsub"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/pubsub"
)

// An event goes to a topic in memory. A host gives the sink to an outbox, which calls Notify until
// it succeeds.
func ExampleNew() {
	ctx := context.Background()
	topic := mempubsub.NewTopic() // a host opens one of its cloud
	subscription := mempubsub.NewSubscription(topic, time.Minute)

	sink, err := pubsub.New(topic, nil)
	if err != nil {
		log.Fatal(err)
	}
	err = sink.Notify(ctx, []notification.Event{
		{ID: notification.NewID(), Time: time.Now(), Action: notification.Push, Repository: "ann/app"},
	})
	if err != nil {
		log.Fatal(err)
	}

	message, err := subscription.Receive(ctx)
	if err != nil {
		log.Fatal(err)
	}
	message.Ack()
	fmt.Println(message.Metadata["action"], message.Metadata["repository"])
	// Output: push ann/app
}

// For a FIFO queue or topic of Amazon, the metadata name the group whose order is kept, and the ID
// by which repeated messages are dropped for five minutes.
func ExampleOptions_fifo() {
	topic := mempubsub.NewTopic() // a host opens "awssqs://…/events.fifo"
	subscription := mempubsub.NewSubscription(topic, time.Minute)
	sink, err := pubsub.New(topic, &pubsub.Options{
		BeforeSend: func(e notification.Event, m *gocloud.Message) error {
			// awssnssqs.MetadataKeyMessageGroupID and MetadataKeyDeduplicationID
			m.Metadata["MessageGroupId"], m.Metadata["DeduplicationId"] = e.Repository, m.Metadata["id"]
			if e.Repository == "" {
				m.Metadata["MessageGroupId"] = "registry"
			}
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	err = sink.Notify(ctx, []notification.Event{{ID: "1", Action: notification.Push, Repository: "ann/app"}})
	if err != nil {
		log.Fatal(err)
	}
	message, err := subscription.Receive(ctx)
	if err != nil {
		log.Fatal(err)
	}
	message.Ack()
	fmt.Println(message.Metadata["MessageGroupId"], message.Metadata["DeduplicationId"])
	// Output: ann/app 1
}

// RabbitMQ needs a new connection after an error, and messages that survive a crash. The exchange
// and its queues are durable, too. TestRabbit runs this code with a server.
func ExampleReopen() {
	open := func(context.Context) (*gocloud.Topic, func(), error) {
		conn, err := amqp.Dial("amqps://user:password@rabbit.example/")
		if err != nil {
			return nil, nil, err
		}
		return rabbitpubsub.OpenTopic(conn, "registry-events", nil), func() {
			_ = conn.CloseDeadline(time.Now().Add(time.Second))
		}, nil
	}
	sink, err := pubsub.Reopen(open, &pubsub.Options{
		BeforeSend: func(e notification.Event, m *gocloud.Message) error {
			m.BeforeSend = func(as func(any) bool) error {
				var p *amqp.Publishing
				if !as(&p) {
					return errors.New("not a topic of RabbitMQ")
				}
				p.DeliveryMode, p.MessageId = amqp.Persistent, e.ID
				return nil
			}
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = sink.Shutdown(context.Background()) }()
}
