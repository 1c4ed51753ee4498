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

// Random returns size bytes that depend on seed only and do not compress. Nothing is held, so size may be anything.
func Random(seed uint64, size int64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return io.LimitReader(rand.NewChaCha8(key), size)
}

// RandomBytes is Random in memory.
func RandomBytes(seed uint64, size int) []byte {
	b := make([]byte, size)
	_, _ = io.ReadFull(Random(seed, int64(size)), b)
	return b
}

// Digest hashes a stream.
func Digest(r io.Reader) (digest.Digest, error) { return digest.FromReader(r) }

// Manifest returns an OCI image manifest over blobs that are in memory; the first is the config.
func Manifest(annotation string, blobs ...[]byte) []byte { return manifest(annotation, nil, blobs) }

// Referrer is Manifest with a subject, an image manifest that is in memory, too.
func Referrer(annotation string, subject []byte, blobs ...[]byte) []byte {
	d := descriptor(imagespec.MediaTypeImageManifest, subject)
	return manifest(annotation, &d, blobs)
}

func manifest(annotation string, subject *imagespec.Descriptor, blobs [][]byte) []byte {
	m := imagespec.Manifest{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   imagespec.MediaTypeImageManifest,
		Config:      descriptor(imagespec.MediaTypeImageConfig, blobs[0]),
		Annotations: map[string]string{"test": annotation},
		Layers:      []imagespec.Descriptor{},
		Subject:     subject,
	}
	for _, b := range blobs[1:] {
		m.Layers = append(m.Layers, descriptor(imagespec.MediaTypeImageLayer, b))
	}
	content, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("a manifest always marshals: %v", err))
	}
	return content
}

func descriptor(mediaType string, b []byte) imagespec.Descriptor {
	return imagespec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
}
