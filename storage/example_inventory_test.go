package storage_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// Two repositories share the data of a blob, so the storage has its bytes once.
func ExampleStore_Inventory() {
	ctx := context.Background()
	store, err := storage.New(ctx, memory.New(nil), nil)
	if err != nil {
		panic(err)
	}
	for _, repo := range []string{"team/a", "team/b"} {
		content := strings.NewReader(strings.Repeat("layer", 20_000))
		if _, err := registry.PushBlob(ctx, store, repo, "", content); err != nil {
			panic(err)
		}
	}
	inventory := store.Inventory()
	for repo, err := range inventory.Repositories(ctx, "team") {
		if err != nil {
			panic(err)
		}
		for blob, err := range inventory.Blobs(ctx, repo) {
			if err != nil {
				panic(err)
			}
			data, err := inventory.Data(ctx, repo, blob.Digest)
			fmt.Println(repo, data.Size, len(data.Objects), err)
		}
	}
	objects, bytes, err := inventory.Bytes(ctx)
	fmt.Println(objects, bytes, err)
	// Output:
	// team/a 100000 1 <nil>
	// team/b 100000 1 <nil>
	// 1 100000 <nil>
}
