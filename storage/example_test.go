package storage_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// A Store is a registry without HTTP.
func ExampleNew() {
	ctx := context.Background()
	driver, err := memory.New(nil)
	if err != nil {
		panic(err)
	}
	store, err := storage.New(ctx, driver, nil)
	if err != nil {
		panic(err)
	}
	desc, err := registry.PushBlob(ctx, store, "library/hello", "", strings.NewReader("hello"))
	if err != nil {
		panic(err)
	}
	fmt.Println(desc.Size, desc.Digest)
	// Output: 5 sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
}

// Uploads that nobody finished are dropped now and then.
func ExampleStore_ExpireUploads() {
	ctx := context.Background()
	driver, err := memory.New(nil)
	if err != nil {
		panic(err)
	}
	store, err := storage.New(ctx, driver, nil)
	if err != nil {
		panic(err)
	}
	n, err := store.ExpireUploads(ctx)
	fmt.Println(n, err)
	// Output: 0 <nil>
}
