package kafka_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/kafka"
)

// An event goes to a topic, with the repository as its key. A host gives the sink to an outbox,
// which calls Notify until it succeeds.
func ExampleNew() {
	ctx := context.Background()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "registry-events"))
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()

	client, err := kgo.NewClient(append(kafka.ClientOptions(), kgo.SeedBrokers(cluster.ListenAddrs()...))...)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	sink, err := kafka.New(client, "registry-events", nil)
	if err != nil {
		log.Fatal(err)
	}
	err = sink.Notify(ctx, []notification.Event{
		{ID: notification.NewID(), Time: time.Now(), Action: notification.Push, Repository: "ann/app"},
	})
	if err != nil {
		log.Fatal(err)
	}

	consumer, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics("registry-events"))
	if err != nil {
		log.Fatal(err)
	}
	defer consumer.Close()
	fetches := consumer.PollFetches(ctx)
	if err := fetches.Err(); err != nil {
		log.Fatal(err)
	}
	for _, record := range fetches.Records() {
		fmt.Println(string(record.Key), string(record.Headers[0].Key), string(record.Headers[0].Value))
	}
	// Output: ann/app action push
}

// The options of a client are those that the sink needs, and those of the host: addresses, TLS and
// SASL.
func ExampleClientOptions() {
	client, err := kgo.NewClient(append(kafka.ClientOptions(),
		kgo.SeedBrokers("kafka-1.example:9093", "kafka-2.example:9093"),
		kgo.DialTLS(),
	)...)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(client.OptValue(kgo.AllowIdempotentProduceCancellation))
	// Output: true
}
