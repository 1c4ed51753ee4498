package notification_test

import (
	"context"
	"fmt"

	"github.com/registrykit/registry/notification"
)

// A function as a Sink. It is given to registry.New in Options.Sink.
func ExampleSinkFunc() {
	var sink notification.Sink = notification.SinkFunc(func(_ context.Context, e notification.Event) error {
		fmt.Println(e.Action, e.Repository, e.Tags)
		return nil
	})
	_ = sink.Notify(context.Background(), []notification.Event{
		{Action: notification.Push, Repository: "ann/app", Tags: []string{"v1"}},
	})
	// Output: push ann/app [v1]
}
