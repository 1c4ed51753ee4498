package scrub_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/scrub"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// A bit of a layer has flipped. A run takes the layer out of service, and a push brings it back.
func Example() {
	ctx := context.Background()
	d := memory.New(nil)
	store, err := storage.New(ctx, d, nil)
	if err != nil {
		log.Fatal(err)
	}
	layer := bytes.Repeat([]byte("layer"), 10_000)
	desc, err := registry.PushBlob(ctx, store, "team/app", "", bytes.NewReader(layer))
	if err != nil {
		log.Fatal(err)
	}
	for info := range d.List(ctx, "data/", nil) { // stands for a disk that rots
		if _, err := d.Put(ctx, info.Key, bytes.NewReader(bytes.ToUpper(layer)), nil); err != nil {
			log.Fatal(err)
		}
	}

	report, err := scrub.Run(ctx, store, d, &scrub.Options{Repair: true})
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range report.Findings {
		fmt.Println(f.Kind, f.Repository, f.Digest == desc.Digest, f.Repair)
	}
	_, err = store.StatBlob(ctx, "team/app", desc.Digest, nil)
	fmt.Println(err)

	_, err = registry.PushBlob(ctx, store, "team/app", "", bytes.NewReader(layer))
	fmt.Println("pushed again:", err)
	report, err = scrub.Run(ctx, store, d, &scrub.Options{Repair: true})
	fmt.Println("whole:", report.Whole(), err)
	// Output:
	// corrupt-blob team/app true quarantined
	// BLOB_UNKNOWN: blob unknown to registry
	// pushed again: <nil>
	// whole: true <nil>
}

// Scrub once a week, at most 20 MB a second, on one of the replicas.
func ExampleJob() {
	d := memory.New(nil)
	store, err := storage.New(context.Background(), d, nil)
	if err != nil {
		log.Fatal(err)
	}
	runner, err := jobs.New(d, &jobs.Options{Jobs: []jobs.Job{
		scrub.Job(7*24*time.Hour, store, d, &scrub.Options{Repair: true, Rate: 20_000_000}),
	}})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop() // a program stops it at its end
	fmt.Println(runner.Run(ctx))
	// Output: context canceled
}

// Mend fetches what is lost from another registry that has the same repositories. Any Backend will do: a
// client, or a mirror, whose upstream has it.
func ExampleMend() {
	ctx := context.Background()
	d := memory.New(nil)
	store, err := storage.New(ctx, d, nil)
	if err != nil {
		log.Fatal(err)
	}
	other, err := storage.New(ctx, memory.New(nil), nil) // stands for client.New("https://other.example", nil)
	if err != nil {
		log.Fatal(err)
	}
	report, err := scrub.Mend(ctx, store, d, scrub.FromBackend(other), nil)
	if err != nil {
		log.Fatal(err)
	}
	for loss, err := range scrub.Losses(ctx, d) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("still lost:", loss.Repository, loss.Digest, loss.Tags)
	}
	fmt.Println(report.Mended, "mended")
	// Output: 0 mended
}
