package evict_test

import (
	"context"
	"fmt"

	"github.com/registrykit/registry/mirror/internal/evict"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// Of three images of 100,000 bytes, two may stay, and one of them is pinned.
func ExampleNew() {
	ctx, d := context.Background(), memory.New(nil)
	store, err := storage.New(ctx, d, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range 3 {
		image := registrytest.RandomImage(uint64(100*i), 1, 100_000)
		if err := image.Push(ctx, store, "docker.io/library/app", fmt.Sprint("v", i)); err != nil {
			fmt.Println(err)
			return
		}
	}

	e, err := evict.New(store, d, nil, &evict.Options{
		Prefixes: []string{"docker.io"}, MaxSize: 250_000,
		MinAge: -1, // these images are new
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := e.Pin(ctx, "docker.io/library/app", reference.Ref{Tag: "v0"}); err != nil {
		fmt.Println(err)
		return
	}
	r, err := e.Evict(ctx) // in a program, Run does so whenever it is necessary
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Images, "evicted, too large:", r.Over)
	for tag, err := range store.Tags(ctx, "docker.io/library/app", nil) {
		fmt.Println(tag, err)
	}
	// Output:
	// 1 evicted, too large: false
	// v0 <nil>
	// v2 <nil>
}
