package search

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/options"
)

// SharingOptions are the options of [Index.Sharing]. nil means the zero SharingOptions.
type SharingOptions struct {
	// Limit is the maximum number of images. Default: DefaultLimit, 100. A negative value is an
	// error.
	Limit int
	// Without is a repository that is left out. Default: none.
	Without string
}

// Sharing says which images begin with the same layers as another image.
type Sharing struct {
	// Images are those with the most lowest layers in common, at most one for each repository.
	Images []SharedImage
	// More reports whether there are further repositories.
	More bool
	// Repositories is, for each layer, the number of repositories that have it.
	Repositories []int
	// Built is when the index was built, or the zero Time before the first refresh.
	Built time.Time
}

// SharedImage is an image that begins with the same layers as another one.
type SharedImage struct {
	Repository string
	// Tag is a tag of the image, or "".
	Tag    string
	Digest digest.Digest
	// Layers is the number of layers that both images have at the bottom.
	Layers int
}

// Sharing returns which images that the viewer may see begin with the same layers as an image. layers
// are the digests of its layers from the lowest up; only the first 256 count. Layers are compared by the
// first 64 bits of their digests. opts may be nil.
//
// Errors: an error for a negative limit; those of v.
func (x *Index) Sharing(ctx context.Context, layers []digest.Digest, v Viewer, opts *SharingOptions) (Sharing, error) {
	o := options.Value(opts)
	options.Default(&o.Limit, DefaultLimit)
	if o.Limit < 0 {
		return Sharing{}, errors.New("search: SharingOptions.Limit is negative")
	}
	s := x.current.Load()
	found := Sharing{Built: s.built, Repositories: make([]int, min(len(layers), maxLayers))}
	if len(layers) == 0 {
		return found, nil
	}
	all, err := s.visibleRepositories(ctx, &v, "")
	if err != nil {
		return Sharing{}, err
	}
	c := newComparison(layers[:len(found.Repositories)])
	var hits []sharedHit
	for i, e := range all {
		if i%256 == 0 && ctx.Err() != nil {
			return Sharing{}, ctx.Err()
		}
		if e.content == nil || e.name == o.Without {
			continue
		}
		if h, ok := c.compare(e, found.Repositories); ok {
			hits = append(hits, h)
		}
	}
	for i, layer := range c.layers { // the same layer in another place
		found.Repositories[i] = found.Repositories[c.first(i, layer)]
	}
	slices.SortFunc(hits, func(a, b sharedHit) int {
		return cmp.Or(cmp.Compare(b.layers, a.layers), strings.Compare(a.hit.entry.name, b.hit.entry.name))
	})
	found.More = len(hits) > o.Limit
	for _, h := range hits[:min(len(hits), o.Limit)] {
		if _, err := h.hit.choose(ctx, &v); err != nil {
			return Sharing{}, err
		}
		content := h.hit.entry.content
		one := SharedImage{Repository: h.hit.entry.name, Layers: h.layers,
			Digest: content.manifests[h.hit.manifest].digest.digest()}
		if h.hit.tag >= 0 {
			one.Tag = content.tags[h.hit.tag].name
		}
		found.Images = append(found.Images, one)
	}
	return found, nil
}

// sharedHit is the image of a repository with the most layers in common.
type sharedHit struct {
	hit    hit
	layers int
}

// comparison compares images with the layers of another one.
type comparison struct {
	layers []uint64
	at     map[uint64]int // the first place of each layer
	seen   []int          // by place: the number of the last repository that has the layer
	number int            // of the present repository
}

// newComparison returns a comparison with layers.
func newComparison(layers []digest.Digest) *comparison {
	c := &comparison{at: map[uint64]int{}, seen: make([]int, len(layers))}
	for i, d := range layers {
		short := shortDigest(d)
		c.layers = append(c.layers, short)
		if _, twice := c.at[short]; short != 0 && !twice {
			c.at[short] = i
		}
	}
	return c
}

// first returns the first place of the layer at a place.
func (c *comparison) first(place int, layer uint64) int {
	if i, ok := c.at[layer]; ok {
		return i
	}
	return place
}

// compare returns the image of a repository with the most layers in common, of several the one that was
// pushed last. It adds the repository to the counts of the layers that it has.
func (c *comparison) compare(e *entry, counts []int) (best sharedHit, ok bool) {
	c.number++
	for i := range e.content.manifests {
		m := &e.content.manifests[i]
		if m.facts == nil {
			continue
		}
		for _, layer := range m.facts.layers {
			if place, ok := c.at[layer]; ok && c.seen[place] != c.number {
				c.seen[place] = c.number
				counts[place]++
			}
		}
		n := 0
		for n < min(len(c.layers), len(m.facts.layers)) && c.layers[n] == m.facts.layers[n] && c.layers[n] != 0 {
			n++
		}
		if n > best.layers || n > 0 && n == best.layers && m.time > best.hit.pushed() {
			best = sharedHit{hit{kind: Image, entry: e, tag: -1, manifest: i}, n}
		}
	}
	return best, best.layers > 0
}
