package endpoints_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/endpoints"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/notification/webhook"
	"github.com/registrykit/registry/storage/memory"
)

// A user creates a webhook for a namespace while the registry runs, and gets the next push. The Outbox is given to
// registry.New in Options.Sink; here, an event is announced without a registry.
func ExampleNew() {
	arrived := make(chan string)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- r.Header.Get(webhook.HeaderID)
	}))
	defer receiver.Close()

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	driver := memory.New(nil) // that of the registry
	hooks, err := endpoints.New(driver, &endpoints.Options{
		Webhook: webhook.Options{AllowPrivate: true}, // the receiver of this example is on loopback
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	box, err := outbox.New(driver, []outbox.Destination{{Name: "endpoints", Sink: hooks}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = hooks.Run(ctx) }()
	go func() { _ = box.Run(ctx) }()

	e, secret, err := hooks.Create(ctx, "ann", endpoints.Scope{Namespace: "acme"}, endpoints.Settings{
		Name: "CI", URL: auth.Secret(receiver.URL), Format: "json",
	})
	fmt.Println(e.Scope, secret, err)

	event := notification.Event{ID: notification.NewID(), Time: time.Now(), Action: notification.Push,
		Kind: notification.Manifest, Repository: "acme/app", Tags: []string{"v1"}}
	fmt.Println(box.Notify(ctx, []notification.Event{event}))
	fmt.Println(<-arrived == event.ID)
	// Output:
	// namespace:acme *** <nil>
	// <nil>
	// true
}

// A user tests a webhook and sees what its receiver has answered.
func ExampleEndpoints_Test() {
	receiver := httptest.NewServer(http.NotFoundHandler())
	defer receiver.Close()
	hooks, err := endpoints.New(memory.New(nil), &endpoints.Options{Webhook: webhook.Options{AllowPrivate: true}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	e, _, err := hooks.Create(ctx, "ann", endpoints.Scope{Repository: "acme/app"}, endpoints.Settings{
		Name: "CI", URL: auth.Secret(receiver.URL),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := hooks.Test(ctx, "ann", e.ID)
	fmt.Println(d.State, d.Status, d.Response, err)
	// Output: dead 404 404 page not found <nil>
}
