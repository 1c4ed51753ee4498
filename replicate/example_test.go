package replicate_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/client/login"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/replicate"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// exampleStore returns a store that has an image as team/app:v1 and team/app:v2.
func exampleStore() *storage.Store {
	s := emptyStore()
	if err := registrytest.RandomImage(1, 2, 1000).Push(context.Background(), s, "team/app", "v1", "v2"); err != nil {
		log.Fatal(err)
	}
	return s
}

// emptyStore returns a store in memory. With disk.New instead of memory.New it is a directory.
func emptyStore() *storage.Store {
	s, err := storage.New(context.Background(), memory.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	return s
}

// exampleServer serves a store as a registry.
func exampleServer(s *storage.Store) *httptest.Server {
	reg, err := registry.New(s, nil)
	if err != nil {
		log.Fatal(err)
	}
	return httptest.NewServer(reg)
}

// This example copies an image from a remote registry, with a login, to a local store.
func ExampleCopy() {
	server := exampleServer(exampleStore())
	defer server.Close()
	l, err := login.New(server.URL, &login.Options{
		Source: func(context.Context, string) (login.Credentials, error) {
			return login.Credentials{Username: "alice", Password: "secret"}, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	remote, err := client.New(server.URL, &client.Options{
		HTTPClient: server.Client(), Authorize: l.Authorize, Challenge: l.Challenge,
	})
	if err != nil {
		log.Fatal(err)
	}

	res, err := replicate.Copy(context.Background(), emptyStore(), remote, "team/app:v1", &replicate.Options{
		Referrers: true,
		To:        "mirror/app",
	})
	fmt.Println(res.Progress.Blobs, "blobs,", res.Progress.Copied, "bytes,", err)
	// Output:
	// 3 blobs, 2194 bytes, <nil>
}

// This example keeps the versions from 1 on of all repositories of a team in a second registry.
func ExampleSync() {
	server := exampleServer(emptyStore())
	defer server.Close()
	dst, err := client.New(server.URL, &client.Options{HTTPClient: server.Client()})
	if err != nil {
		log.Fatal(err)
	}
	rules := []replicate.Rule{{
		Repositories: []string{"team/**"},
		Semver:       ">=1",
		Newest:       10,
		To:           func(repo string) string { return "backup/" + repo },
	}}
	for range 2 {
		res, err := replicate.Sync(context.Background(), dst, exampleStore(), rules)
		fmt.Println(res.Copied, "copied,", res.Unchanged, "unchanged,", err)
	}
	// Output:
	// 2 copied, 0 unchanged, <nil>
	// 0 copied, 2 unchanged, <nil>
}

// This example runs a Sync every hour on one of the replicas that share a storage.
func ExampleSyncJob() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	dst, d := emptyStore(), memory.New(nil)
	job := replicate.SyncJob("sync-team", time.Hour, dst, exampleStore(), []replicate.Rule{
		{Repositories: []string{"team/**"}},
	})
	job.Done = func(result any, err error) {
		fmt.Println(result.(replicate.SyncReport).Copied, "copied,", err)
		cancel()
	}
	runner, err := jobs.New(d, &jobs.Options{Jobs: []jobs.Job{job}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(runner.Run(ctx))
	// Output:
	// 2 copied, <nil>
	// context canceled
}

// This example checks an image, and says what is missing.
func ExampleVerify() {
	ctx, store := context.Background(), exampleStore()
	layer := registrytest.RandomImage(1, 2, 1000).Blobs[1]
	if err := store.DeleteBlob(ctx, "team/app", descriptorOf("", layer).Digest, nil); err != nil {
		log.Fatal(err)
	}
	missing, err := replicate.Verify(ctx, store, "team/app:v1", nil)
	for _, m := range missing {
		fmt.Println(m.Descriptor.MediaType, m.Err)
	}
	fmt.Println(len(missing), err)
	// Output:
	// application/vnd.oci.image.layer.v1.tar+gzip BLOB_UNKNOWN: blob unknown to registry
	// 1 <nil>
}

// pinning is what a mirror.Mirror is for Pin.
type pinning struct{ registry.Backend }

func (pinning) Pin(_ context.Context, repo string, ref reference.Ref) error {
	fmt.Println("pinned", repo, ref)
	return nil
}

// This example makes a mirror complete for a network without upstreams.
func ExamplePin() {
	mirror := pinning{exampleStore()}
	missing, err := replicate.Pin(context.Background(), mirror, "team/app:v1", &replicate.Options{
		Platforms: []string{"linux/amd64", "linux/arm64"},
		Referrers: true,
	})
	fmt.Println(len(missing), "missing,", err)
	// Output:
	// pinned team/app v1
	// 0 missing, <nil>
}

// This example continues the uploads of an earlier process.
func ExampleFileResume() {
	res, err := replicate.Copy(context.Background(), emptyStore(), exampleStore(), "team/app:v1", &replicate.Options{
		Resume: replicate.FileResume("copy-state"),
	})
	fmt.Println(res.Progress.Manifests, err)
	// Output:
	// 1 <nil>
}
