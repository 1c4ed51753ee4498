package image_test

import (
	"context"
	"fmt"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/image"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

func ExampleRead() {
	ctx := context.Background()
	store, err := storage.New(ctx, memory.New(nil), nil)
	if err != nil {
		panic(err)
	}
	pushExample(ctx, store)

	facts, err := image.Read(ctx, store, "team/app", reference.Ref{Tag: "v1"}, nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(facts.Kind, facts.Config.Platform.OS, facts.Config.Platform.Architecture)
	fmt.Println(facts.Created().Format("2006-01-02"), facts.Config.Entrypoint, facts.Config.Labels)
	// Output:
	// image linux amd64
	// 2026-01-02 [/app] map[stage:prod]
}

// A Cache is for programs that show the same images again and again, such as a page.
func ExampleCache() {
	ctx := context.Background()
	store, err := storage.New(ctx, memory.New(nil), nil)
	if err != nil {
		panic(err)
	}
	pushExample(ctx, store)

	cache := image.NewCache(16 << 20)
	for range 2 { // the second time, only the tag and the manifest are looked up
		facts, err := cache.Read(ctx, store, "team/app", reference.Ref{Tag: "v1"}, nil)
		if err != nil {
			panic(err)
		}
		fmt.Println(facts.Size)
	}
	// Output:
	// 377
	// 377
}

func pushExample(ctx context.Context, store *storage.Store) {
	const config = `{"os":"linux","architecture":"amd64","created":"2026-01-02T00:00:00Z",` +
		`"config":{"Entrypoint":["/app"],"Labels":{"stage":"prod"}}}`
	c, err := registry.PushBlob(ctx, store, "team/app", "", strings.NewReader(config))
	if err != nil {
		panic(err)
	}
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},`+
		`"layers":[]}`,
		ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, c.Digest, c.Size)
	if _, err := store.PutManifest(ctx, "team/app", "", []byte(manifest), &registry.PutOptions{
		Tags: []registry.TagPut{{Name: "v1"}},
	}); err != nil {
		panic(err)
	}
}
