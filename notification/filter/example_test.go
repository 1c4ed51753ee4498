package filter_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/filter"
)

// printed is a sink that prints what it receives.
var printed = notification.SinkFunc(func(_ context.Context, e notification.Event) error {
	fmt.Println(e.Action, e.Repository, e.Tags, e.Count)
	return nil
})

// The releases of one team.
func ExampleNew() {
	sink, err := filter.New(printed, &filter.Options{
		Actions:      []notification.Action{notification.Push},
		Repositories: []string{"shop/**", "!shop/scratch"},
		Tags:         []string{"v*"},
		NoSignatures: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	_ = sink.Notify(context.Background(), []notification.Event{
		{Action: notification.Push, Kind: notification.Manifest, Repository: "shop/cart", Tags: []string{"v1", "latest"}},
		{Action: notification.Pull, Kind: notification.Manifest, Repository: "shop/cart", Tags: []string{"v1"}},
		{Action: notification.Push, Kind: notification.Manifest, Repository: "shop/scratch", Tags: []string{"v1"}},
		{Action: notification.Push, Kind: notification.Blob, Repository: "shop/cart"},
	})
	// Output: push shop/cart [v1] 0
}

// A mistake in a pattern is found at the start. The error says where it is.
func ExampleFieldError() {
	_, err := filter.New(printed, &filter.Options{Tags: []string{"v*", "release-[0-9"}})
	var mistake *filter.FieldError
	if errors.As(err, &mistake) {
		fmt.Println(mistake.Field, mistake.Index, mistake.Err)
	}
	// Output: Tags 1 pattern "release-[0-9": malformed
}

// One event for all pulls of an image in an interval.
func ExampleNewPulls() {
	pulls, err := filter.NewPulls(printed, nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- pulls.Run(ctx) }()

	for _, tag := range []string{"v1", "v1", "latest"} {
		_ = pulls.Notify(ctx, []notification.Event{{
			Action: notification.Pull, Kind: notification.Manifest, Repository: "shop/cart", Tags: []string{tag},
			Target: &ocispec.Descriptor{Digest: "sha256:1234"},
		}})
	}

	stop() // after the server has stopped; Run passes on what is left
	fmt.Println(<-ended)
	// Output:
	// pull shop/cart [v1 latest] 3
	// <nil>
}
