package search_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/search"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

func Example() {
	ctx := context.Background()
	store, err := storage.New(ctx, memory.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, repo := range []string{"acme/web", "acme/website", "secret/web"} {
		if err := registrytest.RandomImage(1, 1, 10).Push(ctx, store, repo, "v1"); err != nil {
			log.Fatal(err)
		}
	}
	index, err := search.New(store, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := index.Refresh(ctx); err != nil { // a server calls index.Run in a goroutine
		log.Fatal(err)
	}
	found, err := index.Search(ctx, "web", search.Viewer{
		Repository: func(_ context.Context, name string) (bool, error) { return !strings.HasPrefix(name, "secret/"), nil },
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range found.Results {
		fmt.Println(r.Kind, r.Name)
	}
	// Output:
	// repository acme/web
	// repository acme/website
}
