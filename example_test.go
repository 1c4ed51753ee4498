package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// This example serves a registry beside the other routes of a program. With disk.New instead of
// memory.New, pushed content survives a restart.
func ExampleNew() {
	store, err := storage.New(context.Background(), memory.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	reg, err := registry.New(store, nil)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/v2/", reg)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "the rest of the program") })

	server := httptest.NewServer(mux) // in a program, an http.Server with timeouts: see examples/embed
	defer server.Close()
	for _, path := range []string{"/", "/v2/", "/v2/app/tags/list"} {
		res, err := http.Get(server.URL + path)
		if err != nil {
			log.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		fmt.Println(res.StatusCode, string(body))
	}
	// Output:
	// 200 the rest of the program
	// 200 {}
	// 404 {"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry","detail":{"name":"app"}}]}
}

// newMemory returns a store for the examples below.
func newMemory() *storage.Store {
	store, err := storage.New(context.Background(), memory.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	return store
}

// Go code in the same process performs the operations of an HTTP client, with the same checks.
func ExampleRegistry_Backend() {
	ctx := context.Background()
	reg, err := registry.New(newMemory(), nil)
	if err != nil {
		log.Fatal(err)
	}
	b := reg.Backend(auth.Identity{Name: "builder"})

	// Push a layer from a Reader, and a manifest that references it.
	layer, err := registry.PushBlob(ctx, b, "tools/hello", "", strings.NewReader("hello, world\n"))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := registry.PushBlob(ctx, b, "tools/hello", "", strings.NewReader("{}")); err != nil {
		log.Fatal(err)
	}
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"artifactType":"text/plain",`+
		`"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2},`+
		`"layers":[{"mediaType":"text/plain","digest":%q,"size":%d}]}`,
		ocispec.MediaTypeImageManifest, digest.FromString("{}"), layer.Digest, layer.Size)
	if _, err := b.PutManifest(ctx, "tools/hello", ocispec.MediaTypeImageManifest, manifest, &registry.PutOptions{
		Tags: []registry.TagPut{{Name: "v1"}, {Name: "latest"}},
	}); err != nil {
		log.Fatal(err)
	}

	// List the tags, pull, and delete.
	for tag, err := range b.Tags(ctx, "tools/hello", nil) {
		fmt.Println(tag, err)
	}
	m, err := b.GetManifest(ctx, "tools/hello", reference.Ref{Tag: "latest"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(m.Descriptor.MediaType, bytes.Equal(m.Content, manifest))
	blob, err := b.OpenBlob(ctx, "tools/hello", layer.Digest, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer blob.Body.Close()
	content, err := io.ReadAll(blob.Body)
	fmt.Printf("%q %v\n", content, err)
	fmt.Println(b.DeleteManifest(ctx, "tools/hello", reference.Ref{Tag: "latest"}, nil))
	_, err = b.StatManifest(ctx, "tools/hello", reference.Ref{Tag: "latest"}, nil)
	fmt.Println(err)
	// Output:
	// latest <nil>
	// v1 <nil>
	// application/vnd.oci.image.manifest.v1+json true
	// "hello, world\n" <nil>
	// <nil>
	// MANIFEST_UNKNOWN: manifest unknown to registry
}

// Several builders each add an entry to the index that a tag points at. With the condition, no
// builder overwrites the entry of another one: a builder whose push fails reads the tag again.
func ExampleCondition() {
	ctx := context.Background()
	b := newMemory()

	// push points the tag at an index with these entries, on a condition.
	push := func(entries []ocispec.Descriptor, cond *registry.Condition) error {
		index, err := json.Marshal(ocispec.Index{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: entries,
		})
		if err != nil {
			return err
		}
		_, err = b.PutManifest(ctx, "tools/hello", ocispec.MediaTypeImageIndex, index, &registry.PutOptions{
			Tags: []registry.TagPut{{Name: "latest", If: cond}},
		})
		return err
	}
	// add adds an entry to the index of the tag.
	add := func(entry ocispec.Descriptor) error {
		for {
			m, err := b.GetManifest(ctx, "tools/hello", reference.Ref{Tag: "latest"})
			if err != nil {
				return err
			}
			var index ocispec.Index
			if err := json.Unmarshal(m.Content, &index); err != nil {
				return err
			}
			unchanged := &registry.Condition{Match: []digest.Digest{m.Descriptor.Digest}}
			if err = push(append(index.Manifests, entry), unchanged); !errors.Is(err, registry.ErrPreconditionFailed) {
				return err
			}
		}
	}

	// This condition holds only if the tag does not exist yet.
	absent := &registry.Condition{NoneMatch: []digest.Digest{registry.AnyDigest}}
	fmt.Println(push([]ocispec.Descriptor{}, absent))
	fmt.Println(push([]ocispec.Descriptor{}, absent))

	var builders sync.WaitGroup
	for _, arch := range []string{"amd64", "arm64", "riscv64", "s390x"} {
		builders.Go(func() {
			image, err := pushImage(ctx, b, "tools/hello", arch)
			if err == nil {
				image.Platform = &ocispec.Platform{OS: "linux", Architecture: arch}
				err = add(image)
			}
			if err != nil {
				log.Fatal(err)
			}
		})
	}
	builders.Wait()

	m, err := b.GetManifest(ctx, "tools/hello", reference.Ref{Tag: "latest"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(bytes.Count(m.Content, []byte("linux")), "platforms")
	// Output:
	// <nil>
	// PRECONDITION_FAILED: a condition of the request does not hold
	// 4 platforms
}

// pushImage pushes a tiny image for the example above.
func pushImage(ctx context.Context, b registry.Backend, repo, content string) (ocispec.Descriptor, error) {
	config, err := registry.PushBlob(ctx, b, repo, "", strings.NewReader(fmt.Sprintf(`{"architecture":%q}`, content)))
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	config.MediaType = ocispec.MediaTypeImageConfig
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{},
	})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	res, err := b.PutManifest(ctx, repo, ocispec.MediaTypeImageManifest, manifest, nil)
	return res.Descriptor, err
}

// An interceptor sees every operation and may reject it. Here, repository names must begin with the
// name of a team.
func ExampleIntercept() {
	ctx := context.Background()
	b := registry.Intercept(newMemory(), func(ctx context.Context, op *registry.Op,
		next func(context.Context) error) error {
		if op.Write() && !strings.HasPrefix(op.Repository, "team-") {
			return registry.ErrDenied.WithMessage("repositories begin with team-")
		}
		err := next(ctx)
		fmt.Println(op.Kind, op.Repository, op.Result.Size, err)
		return err
	})
	_, err := registry.PushBlob(ctx, b, "mine", "", strings.NewReader("hello"))
	fmt.Println(err)
	_, err = registry.PushBlob(ctx, b, "team-a/x", "", strings.NewReader("hello"))
	fmt.Println(err)
	// Output:
	// DENIED: repositories begin with team-
	// CreateUpload team-a/x 0 <nil>
	// Append team-a/x 5 <nil>
	// Commit team-a/x 5 <nil>
	// <nil>
}

// Every caller can pull from this registry, but only the builder can push. A sink prints the
// events.
func ExampleOptions() {
	ctx := context.Background()
	reg, err := registry.New(newMemory(), &registry.Options{
		Authorizer: auth.AuthorizerFunc(func(_ context.Context, who auth.Identity, accesses []auth.Access) error {
			for _, a := range accesses {
				if a.Action != auth.Pull && who.Name != "builder" {
					return auth.ErrDenied
				}
			}
			return nil
		}),
		Sink: notification.SinkFunc(func(_ context.Context, e notification.Event) error {
			fmt.Println("event:", e.Action, e.Repository, "by", e.Actor)
			return nil
		}),
		MaxBlobSize: 1000,
		NoDelete:    registry.NoDelete{Blobs: true},
	})
	if err != nil {
		log.Fatal(err)
	}
	builder, guest := reg.Backend(auth.Identity{Name: "builder"}), reg.Backend(auth.Identity{Name: "guest"})
	desc, err := registry.PushBlob(ctx, builder, "a", "", strings.NewReader("hello"))
	fmt.Println(desc.Size, err)
	_, err = registry.PushBlob(ctx, guest, "a", "", strings.NewReader("hello"))
	fmt.Println(err)
	_, err = registry.PushBlob(ctx, builder, "a", "", bytes.NewReader(make([]byte, 1001)))
	fmt.Println(err)
	fmt.Println(builder.DeleteBlob(ctx, "a", desc.Digest, nil))
	// Output:
	// event: push a by builder
	// 5 <nil>
	// DENIED: access to the resource is denied: auth: access denied
	// storage: receiving a blob: SIZE_INVALID: blob is too large
	// UNSUPPORTED: deletes of this kind are disabled
}

// An audit function is called with each decision, over HTTP and for Go calls.
func ExampleOptions_audit() {
	store, err := storage.New(context.Background(), memory.New(nil), nil)
	if err != nil {
		panic(err)
	}
	reg, err := registry.New(store, &registry.Options{
		Authorizer: auth.AuthorizerFunc(func(_ context.Context, who auth.Identity, accesses []auth.Access) error {
			if who.Name != "ann" {
				return auth.ErrDenied
			}
			return nil
		}),
		Audit: func(_ context.Context, d auth.Decision) { fmt.Println(d.Identity.Name, d.Accesses, d.Allowed) },
	})
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"ann", "bob"} {
		_, _ = reg.Backend(auth.Identity{Name: name}).CreateUpload(context.Background(), "app", nil)
	}
	// Output:
	// ann [repository:app:push] true
	// bob [repository:app:push] false
}
