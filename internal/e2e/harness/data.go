package harness

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Random returns size bytes that depend only on seed and do not compress. The reader holds no
// content in memory, so size is not limited.
func Random(seed uint64, size int64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return io.LimitReader(rand.NewChaCha8(key), size)
}

// RandomBytes returns the bytes of Random as a slice.
func RandomBytes(seed uint64, size int) []byte {
	b := make([]byte, size)
	_, _ = io.ReadFull(Random(seed, int64(size)), b)
	return b
}

// Digest hashes a stream.
func Digest(r io.Reader) (digest.Digest, error) { return digest.FromReader(r) }

// Manifest returns an OCI image manifest over the given blobs. The first blob is the config.
func Manifest(annotation string, blobs ...[]byte) []byte {
	return ManifestOf(annotation, nil, describe(blobs)...)
}

// Referrer returns a manifest like Manifest, with the image manifest subject as its subject.
func Referrer(annotation string, subject []byte, blobs ...[]byte) []byte {
	d := Descriptor(imagespec.MediaTypeImageManifest, subject)
	return ManifestOf(annotation, &d, describe(blobs)...)
}

// ManifestOf returns an OCI image manifest over blobs of any media type. The first blob is the
// config.
func ManifestOf(annotation string, subject *imagespec.Descriptor, blobs ...imagespec.Descriptor) []byte {
	m := imagespec.Manifest{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   imagespec.MediaTypeImageManifest,
		Config:      typed(imagespec.MediaTypeImageConfig, blobs[0]),
		Annotations: map[string]string{"test": annotation},
		Layers:      []imagespec.Descriptor{},
		Subject:     subject,
	}
	for _, b := range blobs[1:] {
		m.Layers = append(m.Layers, typed(imagespec.MediaTypeImageLayer, b))
	}
	return marshal(m)
}

// IndexOf returns an OCI index over manifests or blobs.
func IndexOf(annotation string, children ...imagespec.Descriptor) []byte {
	return marshal(imagespec.Index{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   imagespec.MediaTypeImageIndex,
		Manifests:   children,
		Annotations: map[string]string{"test": annotation},
	})
}

// Descriptor returns the descriptor of b.
func Descriptor(mediaType string, b []byte) imagespec.Descriptor {
	return imagespec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
}

func describe(blobs [][]byte) []imagespec.Descriptor {
	described := make([]imagespec.Descriptor, len(blobs))
	for i, b := range blobs {
		described[i] = Descriptor("", b)
	}
	return described
}

func typed(mediaType string, d imagespec.Descriptor) imagespec.Descriptor {
	d.MediaType = mediaType
	return d
}

func marshal(manifest any) []byte {
	content, err := json.Marshal(manifest)
	if err != nil {
		panic(fmt.Sprintf("a manifest always marshals: %v", err))
	}
	return content
}
