package pulltime_test

import (
	"context"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/storage/memory"
)

// A host calls Pulled at each pull that counts, and runs the Recorder. Rules read the times.
func ExampleNew() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	d := memory.New(nil) // the storage of the registry
	r, err := pulltime.New(d, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()

	manifest := digest.FromString("a manifest")
	r.Pulled("team/app", manifest, "v1")

	times, err := r.Read(ctx, "team/app")
	if err != nil {
		fmt.Println(err)
		return
	}
	at, ok := times.Tag("v1")
	fmt.Println(ok, time.Since(at) < time.Minute)
	_, ok = times.Tag("v2")
	fmt.Println(ok)

	cancel()
	fmt.Println(<-ended)
	// Output:
	// true true
	// false
	// context canceled
}
