package interleave

import (
	"encoding/json"
	mathrand "math/rand/v2"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/storage"
)

// fixture is the content that actors push and delete. It is small, so that they conflict.
// Elsewhere, a number of a blob or a manifest is its index here.
type fixture struct {
	repos []string
	tags  []string
	blobs []fixtureBlob
	mans  []fixtureManifest
}

type fixtureBlob struct {
	content []byte
	desc    ocispec.Descriptor
}

type fixtureManifest struct {
	content  []byte
	desc     ocispec.Descriptor
	blobs    []int
	children []int
	subject  int // -1 if it has none
}

// keptTag is the tag that deletes keep if mode.keep is set.
const keptTag = "keep"

func newFixture() *fixture {
	f := &fixture{repos: []string{"a", "b/c"}, tags: []string{"t0", "t1"}}
	for i, b := range [][]byte{[]byte("{}"), []byte(`{"a":1}`), random(1, storage.InlineSize+1000),
		random(2, 2*storage.InlineSize)} {
		mediaType := ocispec.MediaTypeImageLayer
		if i < 2 {
			mediaType = ocispec.MediaTypeImageConfig
		}
		f.blobs = append(f.blobs, fixtureBlob{b, ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b),
			Size: int64(len(b))}})
	}
	f.image("0", -1, 0, 2)
	f.image("1", -1, 0, 2, 3)
	f.image("2", -1, 1, 3)
	f.image("referrer", 0, 0)
	f.index([]int{0, 1})
	f.index([]int{2}, 2)
	return f
}

// image adds an image to the fixture. The first blob is the config. The number of the subject is -1
// if there is none.
func (f *fixture) image(name string, subject int, blobs ...int) {
	var of *ocispec.Descriptor
	if subject >= 0 {
		of = &f.mans[subject].desc
	}
	var descs []ocispec.Descriptor
	for _, b := range blobs {
		descs = append(descs, f.blobs[b].desc)
	}
	content, _ := json.Marshal(ocispec.Manifest{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   ocispec.MediaTypeImageManifest,
		Config:      descs[0],
		Layers:      descs[1:],
		Subject:     of,
		Annotations: map[string]string{"a": name},
	})
	f.mans = append(f.mans, fixtureManifest{content: content, blobs: blobs, subject: subject, desc: ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(content), Size: int64(len(content)),
	}})
}

// index adds an index of manifests and blobs to the fixture.
func (f *fixture) index(children []int, blobs ...int) {
	x := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, c := range children {
		x.Manifests = append(x.Manifests, f.mans[c].desc)
	}
	for _, b := range blobs {
		desc := f.blobs[b].desc
		desc.MediaType = "application/vnd.example.cache"
		x.Manifests = append(x.Manifests, desc)
	}
	content, _ := json.Marshal(x)
	f.mans = append(f.mans, fixtureManifest{content: content, blobs: blobs, children: children, subject: -1,
		desc: ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(content), Size: int64(len(content)),
		}})
}

// numberOf returns the number of the manifest with a digest, or -1.
func (f *fixture) numberOf(d digest.Digest) int {
	return slices.IndexFunc(f.mans, func(m fixtureManifest) bool { return m.desc.Digest == d })
}

// ownFixture copies the fixture, so that the actors of this run can add manifests to it.
func (w *world) ownFixture() {
	own := *w.fixture
	own.mans = slices.Clone(own.mans)
	w.fixture = &own
}

// random returns n bytes that are the same for the same seed.
func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	_, _ = mathrand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}).Read(b)
	return b
}
