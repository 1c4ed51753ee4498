package filter_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/filter"
	"github.com/registrykit/registry/filter/glob"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// newStore returns a store for the examples.
func newStore() registry.Backend {
	store, err := storage.New(context.Background(), memory.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	return store
}

// push pushes a blob and prints the result.
func push(b registry.Backend, repo string) {
	desc, err := registry.PushBlob(context.Background(), b, repo, "", strings.NewReader("hello, "+repo))
	fmt.Println(repo, desc.Size, err)
}

// A registry that accepts no new content.
func ExampleReadOnly() {
	store := newStore()
	push(store, "a")
	push(filter.ReadOnly(store), "b")
	// Output:
	// a 8 <nil>
	// b 0 UNSUPPORTED: the registry is read-only
}

// One store for many tenants, each with its own names.
func ExampleSub() {
	store := newStore()
	index := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
	for _, tenant := range []string{"acme", "initech"} {
		b, err := filter.Sub(store, "tenants/"+tenant)
		if err != nil {
			log.Fatal(err)
		}
		if _, err := b.PutManifest(context.Background(), tenant+"-app", "", index, nil); err != nil {
			log.Fatal(err)
		}
		for name, err := range b.Repositories(context.Background(), nil) {
			fmt.Println(tenant, "sees", name, err)
		}
	}
	for name, err := range store.Repositories(context.Background(), nil) {
		fmt.Println("the store has", name, err)
	}
	// Output:
	// acme sees acme-app <nil>
	// initech sees initech-app <nil>
	// the store has tenants/acme/acme-app <nil>
	// the store has tenants/initech/initech-app <nil>
}

// Count operations and measure how long they take.
func ExampleObserve() {
	counts := map[registry.OpKind]int{} // a server needs a lock
	b := filter.Observe(newStore(), func(_ context.Context, op *registry.Op, took time.Duration, err error) {
		if err == nil && took < time.Minute {
			counts[op.Kind]++
		}
	})
	push(b, "a")
	push(b, "b")
	fmt.Println(counts)
	// Output:
	// a 8 <nil>
	// b 8 <nil>
	// map[Append:2 Commit:2 CreateUpload:2]
}

// Restrict a Backend to one user. The user can pull everything and push below their own name.
func ExampleAuthorize() {
	own := auth.AuthorizerFunc(func(_ context.Context, who auth.Identity, accesses []auth.Access) error {
		for _, a := range accesses {
			if a.Action != auth.Pull && !strings.HasPrefix(a.Name, who.Name+"/") {
				return auth.ErrDenied
			}
		}
		return nil
	})
	b, err := filter.Authorize(newStore(), own, auth.Identity{Name: "alice"})
	if err != nil {
		log.Fatal(err)
	}
	push(b, "alice/app")
	push(b, "bob/app")
	// Output:
	// alice/app 16 <nil>
	// bob/app 0 DENIED: access to the resource is denied: auth: access denied
}

// Log one line per operation.
func ExampleLog() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "took" {
				return slog.Attr{} // the example omits what varies
			}
			return a
		},
	}))
	b := filter.Log(newStore(), logger)
	for _, err := range b.Tags(context.Background(), "a", nil) {
		fmt.Println(err)
	}
	// Output:
	// level=WARN msg=registry op=Tags repository=a error="NAME_UNKNOWN: repository name not known to registry"
	// NAME_UNKNOWN: repository name not known to registry
}

// officeHours is a filter that keeps tags unchanged at night. It decides by the kind of an
// operation, and rejects every unknown write.
func officeHours(b registry.Backend, now func() time.Time) registry.Backend {
	return registry.Intercept(b, func(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
		hour := now().Hour()
		if op.Write() && (hour < 9 || hour >= 17) {
			return registry.ErrDenied.WithMessage("come back between 9 and 17")
		}
		return next(ctx)
	})
}

// A filter of your own takes a dozen lines.
func Example() {
	clock := time.Date(2030, 1, 1, 16, 59, 0, 0, time.UTC)
	b := officeHours(newStore(), func() time.Time { return clock })
	push(b, "a")
	clock = clock.Add(time.Minute)
	push(b, "b")
	// Output:
	// a 8 <nil>
	// b 0 DENIED: come back between 9 and 17
}

// Release tags are set once and stay.
func ExampleImmutable() {
	protects, err := glob.Tags("**:v*")
	if err != nil {
		log.Fatal(err)
	}
	b := filter.Immutable(newStore(), &filter.ImmutableOptions{Protects: protects})
	set := func(number int, tag string) error {
		index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",`+
			`"manifests":[],"annotations":{"n":"%d"}}`, number)
		_, err := b.PutManifest(context.Background(), "app", "", []byte(index),
			&registry.PutOptions{Tags: []registry.TagPut{{Name: tag}}})
		return err
	}
	fmt.Println(set(1, "v1"), set(1, "v1"), set(1, "latest"), set(2, "latest"))
	fmt.Println(set(2, "v1"))
	fmt.Println(b.DeleteManifest(context.Background(), "app", reference.Ref{Tag: "v1"}, nil))
	fmt.Println(b.DeleteRepository(context.Background(), "app", nil))
	// Output:
	// <nil> <nil> <nil> <nil>
	// DENIED: the tag v1 is immutable and points at another manifest
	// DENIED: the tag v1 is immutable
	// DENIED: the tag v1 keeps it from being deleted
}

// A registry that rejects writes for a while.
func ExampleSwitch() {
	var maintenance filter.Switch
	b := maintenance.ReadOnly(newStore())
	push(b, "a")
	maintenance.On("read-only until 18:00: the storage is being moved")
	push(b, "b")
	maintenance.Off()
	push(b, "c")
	// Output:
	// a 8 <nil>
	// b 0 UNSUPPORTED: read-only until 18:00: the storage is being moved
	// c 8 <nil>
}
