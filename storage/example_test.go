package storage_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
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

// A tag is moved by mistake, and moved back.
func ExampleStore_Restore() {
	ctx := context.Background()
	driver, err := memory.New(nil)
	if err != nil {
		panic(err)
	}
	store, err := storage.New(ctx, driver, &storage.Options{History: 30 * 24 * time.Hour})
	if err != nil {
		panic(err)
	}
	for _, who := range []string{"ann", "bob"} {
		index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"by":%q}}`, who)
		opts := &registry.PutOptions{By: who, Tags: []registry.TagPut{{Name: "latest"}}}
		if _, err := store.PutManifest(ctx, "app", "", []byte(index), opts); err != nil {
			panic(err)
		}
	}
	res, err := store.Restore(ctx, "app", reference.Ref{Tag: "latest"}, &registry.RestoreOptions{By: "ann"})
	if err != nil {
		panic(err)
	}
	fmt.Println("restored", res.Manifests[0].Tags)
	for e, err := range store.History(ctx, "app", nil) {
		if err != nil {
			panic(err)
		}
		fmt.Println(e.Change, e.Tag, "by", e.By, "was new:", e.Before == nil)
	}
	// Output:
	// restored [latest]
	// tag latest by ann was new: false
	// tag latest by bob was new: false
	// tag latest by ann was new: true
}

// What is too old is forgotten now and then.
func ExampleStore_ExpireHistory() {
	ctx := context.Background()
	driver, err := memory.New(nil)
	if err != nil {
		panic(err)
	}
	store, err := storage.New(ctx, driver, &storage.Options{History: 30 * 24 * time.Hour})
	if err != nil {
		panic(err)
	}
	n, err := store.ExpireHistory(ctx)
	fmt.Println(n, err)
	// Output: 0 <nil>
}

// Replicas make their keys from a secret that the storage keeps for all of them.
func ExampleStore_SharedSecret() {
	ctx := context.Background()
	driver, err := memory.New(nil)
	if err != nil {
		panic(err)
	}
	var secrets [2]string
	for i := range secrets { // two replicas
		store, err := storage.New(ctx, driver, nil)
		if err != nil {
			panic(err)
		}
		secret, err := store.SharedSecret(ctx, "token")
		if err != nil {
			panic(err)
		}
		secrets[i] = string(secret)
	}
	fmt.Println(len(secrets[0]), secrets[0] == secrets[1])
	// Output: 32 true
}

// What nothing needs is removed while everything keeps running.
func ExampleStore_Collect() {
	ctx := context.Background()
	driver, err := memory.New(nil)
	if err != nil {
		panic(err)
	}
	store, err := storage.New(ctx, driver, nil)
	if err != nil {
		panic(err)
	}
	upload, err := store.CreateUpload(ctx, "app", nil)
	if err != nil {
		panic(err)
	}
	layer := strings.Repeat("layer", 10_000)
	if _, err := upload.Commit(ctx, digest.FromString(layer), &registry.Chunk{Length: int64(len(layer)),
		Body: strings.NewReader(layer)}); err != nil {
		panic(err)
	}
	for _, grace := range []time.Duration{24 * time.Hour, -1} {
		report, err := store.Collect(ctx, &storage.CollectOptions{Grace: grace})
		if err != nil {
			panic(err)
		}
		fmt.Println(report.Removed.Blobs, "blob,", report.Removed.DataBytes, "bytes")
	}
	// Output:
	// 0 blob, 0 bytes
	// 1 blob, 50000 bytes
}

// Each replica may do this: one of them collects.
func ExampleStore_CollectEvery() {
	ctx, stop := context.WithCancel(context.Background())
	driver, err := memory.New(nil)
	if err != nil {
		panic(err)
	}
	store, err := storage.New(ctx, driver, nil)
	if err != nil {
		panic(err)
	}
	err = store.CollectEvery(ctx, &storage.ScheduleOptions{Every: 24 * time.Hour,
		Done: func(r *storage.CollectReport, err error) {
			fmt.Println(r.Removed.Blobs, err)
			stop()
		}})
	fmt.Println(err)
	// Output:
	// 0 <nil>
	// context canceled
}
