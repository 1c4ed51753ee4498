package audit_test

import (
	"context"
	"fmt"
	"log"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/audit"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// A registry whose changes and refusals are recorded. A registry with several sinks gives the log
// to an outbox.
func Example() {
	ctx, d := context.Background(), memory.New(nil)
	store, err := storage.New(ctx, d, nil)
	if err != nil {
		log.Fatal(err)
	}
	trail, err := audit.New(d, nil)
	if err != nil {
		log.Fatal(err)
	}
	onlyAnn := auth.AuthorizerFunc(func(_ context.Context, who auth.Identity, _ []auth.Access) error {
		if who.Name != "ann" {
			return auth.ErrDenied
		}
		return nil
	})
	reg, err := registry.New(store, &registry.Options{Sink: trail, Audit: trail.Decided, Authorizer: onlyAnn})
	if err != nil {
		log.Fatal(err)
	}
	image := registrytest.RandomImage(1, 1, 100)
	if err := image.Push(ctx, reg.Backend(auth.Identity{Name: "ann"}), "acme/app", "v1"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(image.Push(ctx, reg.Backend(auth.Identity{Name: "bob"}), "acme/app", "v1") != nil)
	if err := trail.Flush(ctx); err != nil { // Run does it every few seconds
		log.Fatal(err)
	}
	for r, err := range trail.Records(ctx, &audit.Query{Repository: "acme/app"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.Outcome, r.Actor, r.Action, r.Kind, r.Tags)
	}
	// Output:
	// true
	// denied bob push repository []
	// allowed ann push manifest [v1]
	// allowed ann push blob []
	// allowed ann push blob []
}

// A program finds out who has deleted tags of a repository.
func ExampleLog_Page() {
	trail, err := audit.New(memory.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	records, next, err := trail.Page(context.Background(), &audit.Query{Repository: "acme/app", Action: "delete"}, "", 100)
	fmt.Println(len(records), next, err) // next is "" on the last page
	// Output: 0  <nil>
}
