package multi_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/multi"
)

// Two sinks, the first of which fails.
func ExampleNew() {
	sink := multi.New(
		notification.SinkFunc(func(context.Context, notification.Event) error { return errors.New("the receiver is down") }),
		notification.SinkFunc(func(_ context.Context, e notification.Event) error {
			fmt.Println(e.Action, e.Repository)
			return nil
		}),
	)
	err := sink.Notify(context.Background(), []notification.Event{{Action: notification.Push, Repository: "ann/app"}})
	fmt.Println(err)
	// Output:
	// push ann/app
	// the receiver is down
}
