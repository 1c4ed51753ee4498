package registrytest

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
)

// Content is a manifest together with the content that it names.
type Content struct {
	// Descriptor is the media type, digest and size of the manifest.
	Descriptor ocispec.Descriptor
	// Manifest is the manifest itself.
	Manifest []byte
	// Blobs holds the config and the layers, in this order.
	Blobs [][]byte
	// Children holds the manifests that an index names.
	Children []*Content
}

// RandomBytes returns size pseudo-random bytes. The result depends only on the arguments.
func RandomBytes(seed uint64, size int) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	b := make([]byte, size)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

// RandomImage returns an OCI image with the given number of layers, each of size bytes. The result
// depends only on the arguments. The layers are not tar archives; registries do not look into them.
func RandomImage(seed uint64, layers, size int) *Content {
	config, _ := json.Marshal(ocispec.Image{
		Author: "registrytest", Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"},
		Config: ocispec.ImageConfig{Labels: map[string]string{"seed": digest.FromBytes(RandomBytes(seed, 16)).Encoded()}},
	})
	c := &Content{Blobs: [][]byte{config}}
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: descriptor(ocispec.MediaTypeImageConfig, config), Layers: []ocispec.Descriptor{},
	}
	for i := range layers {
		layer := RandomBytes(seed+uint64(i)+1, size)
		c.Blobs = append(c.Blobs, layer)
		m.Layers = append(m.Layers, descriptor(ocispec.MediaTypeImageLayerGzip, layer))
	}
	return c.seal(m.MediaType, m)
}

// Artifact returns an OCI manifest that refers to subject and has no content of its own.
func Artifact(artifactType string, subject ocispec.Descriptor, annotations map[string]string) *Content {
	c := &Content{Blobs: [][]byte{ocispec.DescriptorEmptyJSON.Data}}
	empty := descriptor(ocispec.MediaTypeEmptyJSON, ocispec.DescriptorEmptyJSON.Data)
	return c.seal(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType,
		Config: empty, Layers: []ocispec.Descriptor{empty}, Subject: &subject, Annotations: annotations,
	})
}

// Index returns an OCI index of children.
func Index(children ...*Content) *Content {
	c := &Content{Children: children}
	m := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{},
	}
	for _, child := range children {
		m.Manifests = append(m.Manifests, child.Descriptor)
	}
	return c.seal(m.MediaType, m)
}

// Push pushes the content to repo: first the children and blobs, then the manifest with the tags.
func (c *Content) Push(ctx context.Context, w registry.Writer, repo string, tags ...string) error {
	for _, child := range c.Children {
		if err := child.Push(ctx, w, repo); err != nil {
			return err
		}
	}
	for _, blob := range c.Blobs {
		if _, err := registry.PushBlob(ctx, w, repo, digest.FromBytes(blob), bytes.NewReader(blob)); err != nil {
			return err
		}
	}
	opts := &registry.PutOptions{Digest: c.Descriptor.Digest}
	for _, tag := range tags {
		opts.Tags = append(opts.Tags, registry.TagPut{Name: tag})
	}
	_, err := w.PutManifest(ctx, repo, c.Descriptor.MediaType, c.Manifest, opts)
	return err
}

// seal sets the manifest to the JSON of m.
func (c *Content) seal(mediaType string, m any) *Content {
	c.Manifest, _ = json.Marshal(m) // these types can always be encoded
	c.Descriptor = descriptor(mediaType, c.Manifest)
	return c
}

func descriptor(mediaType string, content []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}
