package queue_test

import (
	"context"
	"fmt"
	"log"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/queue"
)

// A receiver that may be slow, behind a queue. The queue is given to registry.New in Options.Sink.
func ExampleNew() {
	receiver := notification.SinkFunc(func(_ context.Context, e notification.Event) error {
		fmt.Println(e.Action, e.Repository)
		return nil
	})
	q, err := queue.New(receiver, &queue.Options{
		OnError: func(err error) { log.Print("receiver: ", err) },
		OnDrop: func(events []notification.Event, reason error) {
			log.Printf("%d events dropped: %v", len(events), reason)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()

	_ = q.Notify(ctx, []notification.Event{{Action: notification.Push, Repository: "ann/app"}})

	stop() // after the server has stopped; Run delivers what is left
	fmt.Println(<-ended, q.Stats().Delivered)
	// Output:
	// push ann/app
	// <nil> 1
}
