package hook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/hook"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// signed admits only images that have a signature of cosign. It sees that there is one; whether it
// is valid, and whose it is, is for a library such as sigstore-go to say, called in has.
//
// Each manifest needs a signature, also those in an index: "cosign sign --recursive" makes them.
// The policy does not ask about blobs: a caller who knows the digest of a layer can read it.
type signed struct {
	store  registry.Backend // not the Registry: its calls would run the hook again
	exempt []string         // callers who read unsigned images, such as those who sign and scan them
}

// admit is called when a manifest has been read, so Op.Result is the manifest that the client would
// get, whether it named a tag or a digest, by GET or HEAD.
func (s signed) admit(ctx context.Context, op *registry.Op) error {
	if slices.Contains(s.exempt, registry.IdentityFrom(ctx).Name) {
		return nil
	}
	found, err := s.has(ctx, op.Repository, op.Result.Digest)
	if err == nil && !found {
		// Clients read signatures to verify them.
		found, err = s.isSignature(ctx, op.Repository, reference.Ref{Digest: op.Result.Digest})
	}
	if err == nil && !found {
		return hook.Deny("the image has no signature: " + string(op.Result.Digest))
	}
	if err != nil { // the policy cannot decide: the client gets 503
		return errors.New("look for a signature: " + err.Error()) // not %w: a 404 of the store is no decision
	}
	return nil
}

// has reports whether a manifest has a signature, as a referrer or at the tag of older versions of
// cosign.
func (s signed) has(ctx context.Context, repo string, d digest.Digest) (bool, error) {
	for sig, err := range s.store.Referrers(ctx, repo, d, nil) {
		if err != nil {
			return false, err
		}
		if found, err := s.isSignature(ctx, repo, reference.Ref{Digest: sig.Digest}); found || err != nil {
			return found, err
		}
	}
	tag := strings.Replace(string(d), ":", "-", 1) + ".sig"
	return s.isSignature(ctx, repo, reference.Ref{Tag: tag})
}

// isSignature reports whether a manifest is nothing but a signature: all of its layers are. The
// artifact type alone would not do, because an image can claim any.
func (s signed) isSignature(ctx context.Context, repo string, ref reference.Ref) (bool, error) {
	m, err := s.store.GetManifest(ctx, repo, ref)
	if errors.Is(err, registry.ErrManifestUnknown) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var content ocispec.Manifest
	if err := json.Unmarshal(m.Content, &content); err != nil {
		return false, err
	}
	isSig := func(l ocispec.Descriptor) bool {
		return l.MediaType == "application/vnd.dev.cosign.simplesigning.v1+json" ||
			strings.HasPrefix(l.MediaType, "application/vnd.dev.sigstore.bundle.")
	}
	return len(content.Layers) > 0 && !slices.ContainsFunc(content.Layers, func(l ocispec.Descriptor) bool {
		return !isSig(l)
	}), nil
}

// A registry that serves only signed images.
func ExampleBefore() {
	ctx := context.Background()
	store, err := storage.New(ctx, memory.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	policy := signed{store: store, exempt: []string{"signer"}}
	admit := hook.Before(policy.admit, &hook.BeforeOptions{
		Kinds:     []registry.OpKind{registry.OpGetManifest, registry.OpStatManifest},
		AfterRead: true,
	})
	reg, err := registry.New(store, &registry.Options{Interceptors: []registry.Interceptor{admit}})
	if err != nil {
		log.Fatal(err)
	}
	pull := func(name string) {
		_, err := reg.Backend(auth.Identity{Name: name}).GetManifest(ctx, "app", reference.Ref{Tag: "v1"})
		fmt.Println(name+":", strings.SplitAfter(fmt.Sprint(err), "sha256:")[0])
	}

	image := push(store, "app", "v1", layer, nil)
	pull("ann")
	pull("signer")
	push(store, "app", "", signature, &image)
	pull("ann")
	// Output:
	// ann: DENIED: the image has no signature: sha256:
	// signer: <nil>
	// ann: <nil>
}

// A build that starts when somebody pushes the tag "main".
func ExampleAfter() {
	ctx := context.Background()
	store, err := storage.New(ctx, memory.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	build := func(ctx context.Context, op *registry.Op) {
		if slices.ContainsFunc(op.Tags, func(t registry.TagPut) bool { return t.Name == "main" }) {
			fmt.Println("build", op.Repository, "for", registry.IdentityFrom(ctx).Name)
		}
	}
	var running sync.WaitGroup
	reg, err := registry.New(store, &registry.Options{Interceptors: []registry.Interceptor{
		hook.After(build, &hook.AfterOptions{
			Kinds:      []registry.OpKind{registry.OpPutManifest},
			Background: true,
			Running:    &running,
			OnFailure:  func(_ context.Context, op *registry.Op, err error) { log.Print(op.Repository, ": ", err) },
		}),
	}})
	if err != nil {
		log.Fatal(err)
	}
	push(reg.Backend(auth.Identity{Name: "ann"}), "app", "main", layer, nil)
	push(reg.Backend(auth.Identity{Name: "ann"}), "app", "v1", layer, nil)
	running.Wait() // after the server has stopped
	// Output: build app for ann
}

// The media types of layers in the examples.
const (
	layer     = ocispec.MediaTypeImageLayer
	signature = "application/vnd.dev.cosign.simplesigning.v1+json"
)

// push pushes a manifest with one layer of a media type.
func push(b registry.Backend, repo, tag, layerType string, subject *ocispec.Descriptor) ocispec.Descriptor {
	ctx := context.Background()
	blob, err := registry.PushBlob(ctx, b, repo, "", strings.NewReader("{}"))
	if err != nil {
		log.Fatal(err)
	}
	config, content := blob, blob
	config.MediaType, content.MediaType = ocispec.MediaTypeImageConfig, layerType
	m, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{content}, Subject: subject,
	})
	if err != nil {
		log.Fatal(err)
	}
	opts := &registry.PutOptions{}
	if tag != "" {
		opts.Tags = []registry.TagPut{{Name: tag}}
	}
	res, err := b.PutManifest(ctx, repo, ocispec.MediaTypeImageManifest, m, opts)
	if err != nil {
		log.Fatal(err)
	}
	return res.Descriptor
}
