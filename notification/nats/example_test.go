package nats_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/nats"
)

// An event goes to a stream, and a consumer gets all events of repositories below ann/. A host
// gives the sink to an outbox, which calls Notify until it succeeds.
func ExampleNew() {
	ctx := context.Background()
	srv, stop := exampleServer()
	defer stop()

	conn, err := natsgo.Connect(srv.ClientURL(),
		natsgo.MaxReconnects(-1), natsgo.RetryOnFailedConnect(true), natsgo.ReconnectBufSize(-1))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		log.Fatal(err)
	}
	stream, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: "REGISTRY", Subjects: []string{"registry.events.>"}, Duplicates: time.Hour,
	})
	if err != nil {
		log.Fatal(err)
	}

	sink, err := nats.New(js, nil)
	if err != nil {
		log.Fatal(err)
	}
	err = sink.Notify(ctx, []notification.Event{
		{ID: notification.NewID(), Time: time.Now(), Action: notification.Push, Repository: "bob/app"},
		{ID: notification.NewID(), Time: time.Now(), Action: notification.Push, Repository: "ann/my.app"},
	})
	if err != nil {
		log.Fatal(err)
	}

	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		FilterSubject: "registry.events.*." + nats.Tokens("ann") + ".>", AckPolicy: jetstream.AckExplicitPolicy,
	})
	if err != nil {
		log.Fatal(err)
	}
	msg, err := consumer.Next()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(msg.Subject(), msg.Headers().Get("repository"))
	// Output: registry.events.push.ann.my%2Eapp ann/my.app
}

// Tokens of a repository, for the filter of a consumer.
func ExampleTokens() {
	fmt.Println("registry.events.push." + nats.Tokens("ann/my.app"))
	// Output: registry.events.push.ann.my%2Eapp
}

// exampleServer starts a NATS server in this process. The function that it returns stops it.
func exampleServer() (*server.Server, func()) {
	dir, err := os.MkdirTemp("", "nats")
	if err != nil {
		log.Fatal(err)
	}
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(10 * time.Second) {
		log.Fatal("the server is not ready")
	}
	return srv, func() {
		srv.Shutdown()
		srv.WaitForShutdown()
		_ = os.RemoveAll(dir)
	}
}
