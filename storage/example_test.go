package storage_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// openStore returns a Store in memory.
func openStore(ctx context.Context, opts *storage.Options) *storage.Store {
	driver := memory.New(nil)
	store, err := storage.New(ctx, driver, opts)
	if err != nil {
		panic(err)
	}
	return store
}

// pushIndex pushes an empty image index with a tag.
func pushIndex(ctx context.Context, store *storage.Store, repo, tag, user string) {
	content := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",`+
		`"manifests":[],"annotations":{"user":%q}}`, user)
	opts := &registry.PutOptions{By: user, Tags: []registry.TagPut{{Name: tag}}}
	if _, err := store.PutManifest(ctx, repo, "", []byte(content), opts); err != nil {
		panic(err)
	}
}

// A Store is a registry without HTTP: pass it to registry.New to serve it. CollectEvery frees the
// space of deleted content; without it, the storage only grows.
func ExampleNew() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	driver := memory.New(nil) // or disk.New, or gocloud.New for a bucket
	store, err := storage.New(ctx, driver, nil)
	if err != nil {
		panic(err)
	}
	go store.CollectEvery(ctx, nil) // now, and then once a day

	desc, err := registry.PushBlob(ctx, store, "library/hello", "", strings.NewReader("hello"))
	if err != nil {
		panic(err)
	}
	fmt.Println(desc.Size, desc.Digest)
	// Output: 5 sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
}

// A client that can reach the bucket downloads large blobs from there, or from a CDN in front of it.
// The driver must be able to sign URLs.
func ExampleRedirectOptions() {
	ctx := context.Background()
	memory := memory.New(nil)
	store, err := storage.New(ctx, bucket{memory}, &storage.Options{Redirect: &storage.RedirectOptions{
		MinSize: 10_000, // bytes; smaller blobs are served by this process
		Expiry:  time.Hour,
		Rewrite: func(_ context.Context, url string) (string, error) {
			return strings.Replace(url, "https://bucket.example/", "https://cdn.example/", 1), nil
		},
	}})
	if err != nil {
		panic(err)
	}
	for _, size := range []int{100, 100_000} {
		desc, err := registry.PushBlob(ctx, store, "app", "", strings.NewReader(strings.Repeat("x", size)))
		if err != nil {
			panic(err)
		}
		blob, err := store.OpenBlob(ctx, "app", desc.Digest, &registry.OpenOptions{AllowURL: true})
		if err != nil {
			panic(err)
		}
		if blob.URL == "" {
			fmt.Println(size, "bytes are served")
			blob.Body.Close()
			continue
		}
		host, _, _ := strings.Cut(strings.TrimPrefix(blob.URL, "https://"), "/")
		fmt.Println(size, "bytes are at", host)
	}
	// Output:
	// 100 bytes are served
	// 100000 bytes are at cdn.example
}

// bucket is a driver that can sign URLs.
type bucket struct{ driver.Driver }

func (bucket) SignedURL(_ context.Context, key string, _ time.Duration) (string, error) {
	return "https://bucket.example/" + key + "?signature=0123", nil
}

// A collection removes unreferenced content while the registry keeps running. The grace period
// protects content that a push has uploaded and not yet named in a manifest.
func ExampleStore_Collect() {
	ctx := context.Background()
	store := openStore(ctx, nil)
	upload, err := store.CreateUpload(ctx, "app", nil)
	if err != nil {
		panic(err)
	}
	layer := strings.Repeat("layer", 10_000)
	if _, err := upload.Commit(ctx, digest.FromString(layer), &registry.Chunk{Length: int64(len(layer)),
		Body: strings.NewReader(layer)}); err != nil {
		panic(err)
	}
	for _, grace := range []time.Duration{24 * time.Hour, -1} { // negative: no grace period
		report, err := store.Collect(ctx, &storage.CollectOptions{Grace: grace})
		if err != nil {
			panic(err)
		}
		fmt.Println("found", report.Blobs, "blob, removed", report.Removed.Blobs, "with",
			report.Removed.DataBytes, "bytes")
	}
	// Output:
	// found 1 blob, removed 0 with 0 bytes
	// found 1 blob, removed 1 with 50000 bytes
}

// Every replica may run CollectEvery: only one of them collects at a time.
func ExampleStore_CollectEvery() {
	ctx, stop := context.WithCancel(context.Background())
	store := openStore(ctx, nil)
	err := store.CollectEvery(ctx, &storage.ScheduleOptions{
		Every: 6 * time.Hour,
		Done: func(r *storage.CollectReport, err error) {
			if err != nil {
				fmt.Println("collection failed:", err)
			} else {
				fmt.Println("removed", r.Removed.Blobs, "blobs")
			}
			stop() // a server would stop when it shuts down
		},
	})
	fmt.Println(err)
	// Output:
	// removed 0 blobs
	// context canceled
}

// A host with jobs of its own runs collections beside them, on every replica.
func ExampleStore_CollectJob() {
	ctx, stop := context.WithCancel(context.Background())
	d := memory.New(nil)
	store, err := storage.New(ctx, d, nil)
	if err != nil {
		panic(err)
	}
	collect, err := store.CollectJob(&storage.ScheduleOptions{
		Done: func(r *storage.CollectReport, err error) { stop() }, // a server would stop when it shuts down
	})
	if err != nil {
		panic(err)
	}
	runner, err := jobs.New(d, &jobs.Options{Jobs: []jobs.Job{collect}})
	if err != nil {
		panic(err)
	}
	fmt.Println(runner.Run(ctx))
	states, err := runner.List(context.Background())
	if err != nil {
		panic(err)
	}
	for _, s := range states {
		fmt.Println(s.Name, s.Every, s.Error == "", s.Next.Sub(s.Ended).Round(time.Minute))
	}
	// Output:
	// context canceled
	// collect 24h0m0s true 24h0m0s
}

// Options.History sets for how long a Store keeps the history of a repository.
func ExampleStore_History() {
	ctx := context.Background()
	store := openStore(ctx, &storage.Options{History: 30 * 24 * time.Hour})
	pushIndex(ctx, store, "app", "latest", "ann")
	pushIndex(ctx, store, "app", "latest", "bob")
	for e, err := range store.History(ctx, "app", nil) { // the newest event comes first
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s %s by %s, created: %t\n", e.Change, e.Tag, e.By, e.Before == nil)
	}
	// Output:
	// tag latest by bob, created: false
	// tag latest by ann, created: true
}

// Bob moves a tag by mistake. Ann restores it, which is a change in the history, too.
func ExampleStore_Restore() {
	ctx := context.Background()
	store := openStore(ctx, &storage.Options{History: 30 * 24 * time.Hour})
	pushIndex(ctx, store, "app", "latest", "ann")
	pushIndex(ctx, store, "app", "latest", "bob")
	res, err := store.Restore(ctx, "app", reference.Ref{Tag: "latest"}, &registry.RestoreOptions{By: "ann"})
	if err != nil {
		panic(err)
	}
	fmt.Println("restored", res.Manifests[0].Tags)
	m, err := store.GetManifest(ctx, "app", reference.Ref{Tag: "latest"})
	if err != nil {
		panic(err)
	}
	fmt.Println("of ann:", strings.Contains(string(m.Content), `"user":"ann"`))
	// Output:
	// restored [latest]
	// of ann: true
}

// ExpireHistory removes the events that are older than Options.History. CollectEvery does the same.
func ExampleStore_ExpireHistory() {
	ctx := context.Background()
	store := openStore(ctx, &storage.Options{History: time.Millisecond})
	pushIndex(ctx, store, "app", "latest", "ann")
	time.Sleep(20 * time.Millisecond)
	n, err := store.ExpireHistory(ctx)
	fmt.Println(n, err)
	// Output: 1 <nil>
}

// ExpireUploads removes uploads that have had no request for Options.UploadTTL. A collection does
// the same.
func ExampleStore_ExpireUploads() {
	ctx := context.Background()
	store := openStore(ctx, &storage.Options{UploadTTL: time.Millisecond})
	upload, err := store.CreateUpload(ctx, "app", nil)
	if err != nil {
		panic(err)
	}
	if _, err := upload.Append(ctx, 0, 5, strings.NewReader("hello")); err != nil {
		panic(err)
	}
	time.Sleep(20 * time.Millisecond)
	n, err := store.ExpireUploads(ctx)
	fmt.Println(n, err)
	// Output: 1 <nil>
}

// SharedSecret returns the same secret in all replicas on a storage. They can derive keys from it,
// for tokens for example.
func ExampleStore_SharedSecret() {
	ctx := context.Background()
	driver := memory.New(nil)
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
