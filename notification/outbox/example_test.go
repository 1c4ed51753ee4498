package outbox_test

import (
	"context"
	"fmt"
	"log"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/storage/memory"
)

// An outbox in front of a sink. A program gives it to registry.New in Options.Sink, and the driver is
// that of the registry.
func Example() {
	delivered := make(chan struct{})
	sink := notification.SinkFunc(func(_ context.Context, e notification.Event) error {
		fmt.Println(e.Action, e.Repository, e.Tags)
		close(delivered)
		return nil
	})
	events, err := outbox.New(memory.New(nil), []outbox.Destination{{Name: "builds", Sink: sink}}, nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = events.Run(ctx)
	}()
	// The registry does this for each operation, before it responds.
	err = events.Notify(ctx, []notification.Event{
		{ID: notification.NewID(), Action: notification.Push, Repository: "ann/app", Tags: []string{"v1"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	<-delivered
	cancel()
	<-ended
	// Output: push ann/app [v1]
}

// A program reads the events itself, and stores the cursor with what it makes of them.
func ExampleOutbox_Since() {
	ctx := context.Background()
	events, err := outbox.New(memory.New(nil), nil, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, tag := range []string{"v1", "v2"} {
		err = events.Notify(ctx, []notification.Event{
			{ID: notification.NewID(), Action: notification.Push, Repository: "ann/app", Tags: []string{tag}},
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	cursor := "" // from the start
	for entry, err := range events.Since(ctx, cursor, nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Event.Tags)
		cursor = entry.Cursor
	}
	for range events.Since(ctx, cursor, nil) {
		fmt.Println("nothing new")
	}
	// Output:
	// [v1]
	// [v2]
}
