package retention

import (
	"context"
	"errors"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/image"
	"github.com/registrykit/registry/reference"
)

const (
	// maxImages is the maximum size of the facts of images that a Planner remembers, in bytes.
	maxImages = 32 << 20
	// maxElements is the maximum number of images of an index whose facts are read. An index with
	// more is not decided about by its labels and platforms.
	maxElements = 100
)

// imageKey identifies imageFacts.
type imageKey struct {
	digest digest.Digest
	config bool // with what only the configuration says
}

// imageFacts are what conditions ask about an image or index.
type imageFacts struct {
	artifactType string
	annotations  map[string]string
	labels       []map[string]string // of the image, or of each image of the index
	platforms    []ocispec.Platform
	unclear      string // why labels and platforms are not known, or not all of them; or ""
}

// imageFacts reads what conditions ask about a manifest. With config, it also reads the
// configurations.
//
// Errors: any error of the driver.
func (p *Planner) imageFacts(ctx context.Context, repo string, d digest.Digest, config bool) (*imageFacts, error) {
	key := imageKey{d, config}
	if f, ok := p.images.Get(key); ok {
		return f, nil
	}
	f, err := p.readImage(ctx, repo, d, config, true)
	if err == nil && f.unclear == "" {
		p.images.Add(key, f, f.weight())
	}
	return f, err
}

// readImage reads the facts of an image or, at the top, of an index with its images.
func (p *Planner) readImage(ctx context.Context, repo string, d digest.Digest, config, top bool) (*imageFacts, error) {
	read, err := image.Read(ctx, p.store, repo, reference.Ref{Digest: d}, &image.Options{NoConfig: !config})
	switch {
	case errors.Is(err, registry.ErrManifestUnknown):
		return &imageFacts{unclear: "the manifest " + string(d) + " is missing"}, nil
	case errors.Is(err, image.ErrConfig):
		return &imageFacts{artifactType: read.ArtifactType, annotations: read.Annotations,
			unclear: "the configuration of " + string(d) + " cannot be read"}, nil
	case err != nil:
		return nil, err
	}
	f := &imageFacts{artifactType: read.ArtifactType, annotations: read.Annotations}
	if c := read.Config; c != nil {
		f.labels, f.platforms = append(f.labels, c.Labels), append(f.platforms, c.Platform)
		if len(c.Malformed) > 0 {
			f.unclear = "the configuration of " + string(d) + " is malformed"
		}
	}
	if config && read.Kind == image.KindIndex {
		return f, p.readElements(ctx, repo, read, f, top)
	}
	return f, nil
}

// readElements adds the facts of the images of an index.
func (p *Planner) readElements(ctx context.Context, repo string, index *image.Facts, f *imageFacts, top bool) error {
	if !top || len(index.Manifests) > maxElements {
		f.unclear = "it is an index of too many images"
		return nil
	}
	for _, e := range index.Manifests {
		if e.Platform != nil {
			f.platforms = append(f.platforms, *e.Platform)
		}
		child, err := p.readImage(ctx, repo, e.Digest, true, false)
		if err != nil {
			return err
		}
		f.labels, f.platforms = append(f.labels, child.labels...), append(f.platforms, child.platforms...)
		if f.unclear == "" {
			f.unclear = child.unclear
		}
	}
	return nil
}

// weight returns about how many bytes of memory the facts take.
func (f *imageFacts) weight() int {
	n := 300 + 150*len(f.platforms)
	for _, m := range append(f.labels, f.annotations) {
		for k, v := range m {
			n += 64 + len(k) + len(v)
		}
	}
	return n
}

// images yields the answers that depend on the content of the manifest and its configuration.
func (c *conditions) images(f *imageFacts) (all []reason) {
	// An unknown label or platform could be the one that is asked for.
	orUnclear := func(found bool, words string) reason {
		if !found && f.unclear != "" {
			return reason{unknown, f.unclear}
		}
		return reason{answerIf(found), words}
	}
	for i := range c.labels {
		m := &c.labels[i]
		found := false
		for _, labels := range f.labels {
			found = found || m.holds(labels)
		}
		all = append(all, orUnclear(found, "label "+m.key))
	}
	for i := range c.annotations {
		m := &c.annotations[i]
		all = append(all, orUnclear(m.holds(f.annotations), "annotation "+m.key))
	}
	if len(c.platforms) > 0 {
		var found []string
		for i := range f.platforms {
			for _, want := range c.platforms {
				if want.Matches(&f.platforms[i]) {
					found = append(found, want.String())
				}
			}
		}
		all = append(all, orUnclear(len(found) > 0, "platform "+strings.Join(found[:min(1, len(found))], "")))
	}
	if c.artifactTypes != nil {
		all = append(all, orUnclear(c.artifactTypes.Selects(f.artifactType), "artifact type"))
	}
	return all
}

// holds reports whether the label or annotation is there with one of the values.
func (m *textMatch) holds(texts map[string]string) bool {
	value, ok := texts[m.key]
	return ok && (m.any || m.values.Selects(value))
}
