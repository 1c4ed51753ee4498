package storage_test

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// A mirror serves a blob while it arrives. Another process over the same storage follows it.
func ExampleFollowUpload() {
	ctx := context.Background()
	shared := memory.New(nil)
	var stores [2]*storage.Store
	for i := range stores { // two processes
		var err error
		if stores[i], err = storage.New(ctx, shared, nil); err != nil {
			panic(err)
		}
	}
	receiving, err := stores[0].CreateUpload(ctx, "app", nil)
	if err != nil {
		panic(err)
	}
	if _, err := receiving.Append(ctx, 0, 6, strings.NewReader("hello ")); err != nil {
		panic(err)
	}

	resumed, err := stores[1].ResumeUpload(ctx, "app", receiving.ID(), nil) // the ID from after the first byte
	if err != nil {
		panic(err)
	}
	following := resumed.(storage.FollowUpload)
	show := func() {
		r := following.Snapshot().Open(ctx)
		defer r.Close()
		b, err := io.ReadAll(r)
		fmt.Printf("%q %v\n", b, err)
	}
	show()
	if _, err := receiving.Append(ctx, 6, 5, strings.NewReader("world")); err != nil {
		panic(err)
	}
	fmt.Println(following.Refresh(ctx))
	show()
	if _, err := receiving.Commit(ctx, digest.FromString("hello world"), nil); err != nil {
		panic(err)
	}
	fmt.Println(following.Refresh(ctx)) // from now on, the blob has the bytes
	// Output:
	// "hello " <nil>
	// <nil>
	// "hello world" <nil>
	// BLOB_UPLOAD_UNKNOWN: blob upload unknown to registry
}
