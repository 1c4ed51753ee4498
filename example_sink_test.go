package registry_test

import (
	"context"
	"fmt"
	"log"
	"sync/atomic"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
)

// counter counts events by action.
type counter struct{ pushes, pulls atomic.Int64 }

func (c *counter) Notify(_ context.Context, events []notification.Event) error {
	for _, e := range events {
		switch e.Action {
		case notification.Push:
			c.pushes.Add(1)
		case notification.Pull:
			c.pulls.Add(1)
		}
	}
	return nil
}

// A sink counts what happens, over HTTP and from Go code alike.
func ExampleOptions_sink() {
	ctx := context.Background()
	sink := &counter{}
	reg, err := registry.New(newMemory(), &registry.Options{Sink: sink, Instance: "replica-1"})
	if err != nil {
		log.Fatal(err)
	}
	b := reg.Backend(auth.Identity{Name: "builder"})
	if err := registrytest.RandomImage(1, 1, 10).Push(ctx, b, "app", "v1"); err != nil {
		log.Fatal(err)
	}
	if _, err := b.GetManifest(ctx, "app", reference.Ref{Tag: "v1"}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(sink.pushes.Load(), "pushes,", sink.pulls.Load(), "pull")
	// Output: 3 pushes, 1 pull
}
