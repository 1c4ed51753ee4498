package main

import (
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// layer is a blob. Its content depends only on the seed and is not held in memory.
type layer struct {
	seed uint64
	desc imagespec.Descriptor
}

func newLayer(seed uint64, size int) *layer {
	return &layer{seed, harness.Descriptor(imagespec.MediaTypeImageLayer, harness.RandomBytes(seed, size))}
}

func (l *layer) content() []byte { return harness.RandomBytes(l.seed, int(l.desc.Size)) }

const (
	inlineSize = 16 << 10 // see storage.InlineSize
	poolSize   = 48
)

// newPool returns layers that many images share.
func newPool(seed uint64) []*layer {
	rng := rand.New(rand.NewPCG(seed, 1))
	pool := make([]*layer, poolSize)
	for i := range pool {
		pool[i] = newLayer(rng.Uint64(), someSize(rng))
	}
	return pool
}

// someSize returns a random size of a layer. Half of the layers are small enough to be stored in
// their links.
func someSize(rng *rand.Rand) int {
	switch n := rng.IntN(100); {
	case n < 45:
		return 1 + rng.IntN(inlineSize)
	case n < 50:
		return inlineSize + rng.IntN(2)
	case n < 95:
		return inlineSize + rng.IntN(100<<10)
	}
	return 200<<10 + rng.IntN(800<<10)
}

// image is a manifest or an index that one worker has pushed. Only that worker changes and deletes
// it, so the worker knows whether it must exist.
type image struct {
	repo     string
	desc     imagespec.Descriptor
	content  []byte
	layers   []*layer // the referenced blobs, the config first
	children []*image // the referenced manifests
	subject  *image
	common   bool // all workers push it, and none deletes it

	// These fields belong to the worker.
	tags      []string
	parent    *image // the index that references the image
	referrers []*image

	// Readers of the image hold mu for reading while the image must exist. The worker holds it for
	// writing while it removes the image.
	mu    sync.RWMutex
	there bool
}

// newImage returns an image with the given layers.
func newImage(repo, annotation string, subject *image, layers ...*layer) *image {
	blobs := make([]imagespec.Descriptor, len(layers))
	for i, l := range layers {
		blobs[i] = l.desc
	}
	img := &image{repo: repo, layers: layers, subject: subject}
	var of *imagespec.Descriptor
	if subject != nil {
		of = &subject.desc
	}
	img.content = harness.ManifestOf(annotation, of, blobs...)
	img.desc = harness.Descriptor(imagespec.MediaTypeImageManifest, img.content)
	return img
}

// newIndex returns an index of children. It references layers directly, although they are blobs and
// not manifests.
func newIndex(repo, annotation string, children []*image, layers []*layer) *image {
	img := &image{repo: repo, layers: layers, children: children}
	var named []imagespec.Descriptor
	for _, c := range children {
		named = append(named, c.desc)
		c.parent = img
	}
	for _, l := range layers {
		named = append(named, l.desc)
	}
	img.content = harness.IndexOf(annotation, named...)
	img.desc = harness.Descriptor(imagespec.MediaTypeImageIndex, img.content)
	return img
}

func (img *image) digest() digest.Digest { return img.desc.Digest }

// path returns the path of a manifest by its digest or a tag.
func (img *image) path(ref string) string { return "/v2/" + img.repo + "/manifests/" + ref }

func (img *image) untag(tag string) {
	img.tags = slices.DeleteFunc(img.tags, func(t string) bool { return t == tag })
}

// ledger contains all images that must exist.
type ledger struct {
	mu    sync.Mutex
	all   []*image
	index map[*image]int
}

// add records that an image must exist from now on.
func (l *ledger) add(img *image) {
	img.mu.Lock()
	img.there = true
	img.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.index[img]; !ok {
		l.index[img] = len(l.all)
		l.all = append(l.all, img)
	}
}

// remove records that an image need not exist from now on. It waits for readers of the image.
func (l *ledger) remove(img *image) {
	img.mu.Lock()
	img.there = false
	img.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	i, ok := l.index[img]
	if !ok {
		return
	}
	last := len(l.all) - 1
	l.all[i] = l.all[last]
	l.index[l.all[i]] = i
	l.all = l.all[:last]
	delete(l.index, img)
}

// some returns a random image, or nil if there is none.
func (l *ledger) some(rng *rand.Rand) *image {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return nil
	}
	return l.all[rng.IntN(len(l.all))]
}
