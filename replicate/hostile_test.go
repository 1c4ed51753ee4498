package replicate_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/replicate"
)

func TestCopyRefusesTooDeep(t *testing.T) {
	src := registrytest.NewStore(t)
	for depth, want := range map[int]bool{15: true, 16: false, 40: false} {
		c := registrytest.RandomImage(1, 0, 0)
		for range depth {
			c = registrytest.Index(c)
		}
		push(t, src, "r", c, "v1")
		dst := registrytest.NewStore(t)
		_, err := replicate.Copy(t.Context(), dst, src, "r:v1", nil)
		if want {
			require.NoError(t, err)
			requireImage(t, dst, "r", c)
			continue
		}
		require.ErrorContains(t, err, "more than 16 manifests")
		_, err = replicate.Verify(t.Context(), src, "r:v1", nil)
		require.ErrorContains(t, err, "more than 16 manifests")
	}
}

func TestCopyRefusesTooWide(t *testing.T) {
	if testing.Short() {
		t.Skip("parses 200,000 references")
	}
	src := manifests{Backend: registrytest.NewStore(t), all: map[digest.Digest]*registrytest.Content{}}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	root := index
	for i := range 10_000 {
		index.Manifests = append(index.Manifests, ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint(i)), Size: 1,
		})
	}
	for i := range 20 {
		index.Annotations = map[string]string{"number": fmt.Sprint(i)}
		c := sealed(t, index.MediaType, index)
		src.all[c.Descriptor.Digest] = c
		root.Manifests = append(root.Manifests, c.Descriptor)
	}
	c := sealed(t, root.MediaType, root)
	src.all[c.Descriptor.Digest] = c
	_, err := replicate.Copy(t.Context(), registrytest.NewStore(t), src, "r@"+string(c.Descriptor.Digest), nil)
	require.ErrorContains(t, err, "more than 200000 references")
}

// manifests is a backend that has manifests, and nothing of what they name.
type manifests struct {
	registry.Backend
	all map[digest.Digest]*registrytest.Content
}

func (m manifests) GetManifest(_ context.Context, _ string, ref reference.Ref) (*registry.Manifest, error) {
	c := m.all[ref.Digest]
	if c == nil {
		return nil, registry.ErrManifestUnknown
	}
	return &registry.Manifest{Descriptor: c.Descriptor, Content: c.Manifest}, nil
}

// TestCopyRefusesSchema1: such a manifest cannot be copied byte for byte to a registry of today.
func TestCopyRefusesSchema1(t *testing.T) {
	content := []byte(`{"schemaVersion":1,"name":"r","tag":"v1","fsLayers":[]}`)
	src := answering(registrytest.NewStore(t), &registry.Manifest{
		Descriptor: descriptorOf("application/vnd.docker.distribution.manifest.v1+prettyjws", content), Content: content,
	})
	_, err := replicate.Copy(t.Context(), registrytest.NewStore(t), src, "r:v1", nil)
	require.ErrorIs(t, err, registry.ErrManifestInvalid)
	require.ErrorContains(t, err, "schema 1 are not supported")
}

// TestCopyRefusesAManifestWithoutItsDigest: a source that is no client must not be trusted either.
func TestCopyRefusesAManifestWithoutItsDigest(t *testing.T) {
	image := registrytest.RandomImage(1, 0, 0)
	for _, d := range []digest.Digest{digest.FromString("other"), "nonsense", ""} {
		m := &registry.Manifest{Descriptor: image.Descriptor, Content: image.Manifest}
		m.Descriptor.Digest = d
		_, err := replicate.Copy(t.Context(), registrytest.NewStore(t), answering(registrytest.NewStore(t), m), "r:v1", nil)
		require.Error(t, err)
	}
}

// answers is a backend that has one manifest, under every reference.
type answers struct {
	registry.Backend
	m *registry.Manifest
}

func answering(b registry.Backend, m *registry.Manifest) registry.Backend { return answers{b, m} }

func (a answers) GetManifest(context.Context, string, reference.Ref) (*registry.Manifest, error) {
	return a.m, nil
}

// TestCopyOfListsThatLie: a source that lists an index's child as a referrer of the index, and
// manifests that are no referrers, causes no endless copy.
func TestCopyOfListsThatLie(t *testing.T) {
	src, dst := registrytest.NewStore(t), registrytest.NewStore(t)
	image, other := registrytest.RandomImage(1, 1, 100), registrytest.RandomImage(5, 1, 100)
	index := registrytest.Index(image)
	push(t, src, "r", index, "v1")
	push(t, src, "r", other)
	for _, c := range []*registrytest.Content{index, image, other} {
		push(t, src, "r", referrersList(t, index, image, other), cosignTag(c, ""))
		push(t, src, "r", index, cosignTag(c, ".sig"))
	}
	_, err := replicate.Copy(t.Context(), dst, src, "r:v1", &replicate.Options{Referrers: true})
	require.NoError(t, err)
	requireImage(t, dst, "r", index)
	requireTag(t, dst, "r", cosignTag(other, ".sig"), index.Descriptor.Digest)
}
