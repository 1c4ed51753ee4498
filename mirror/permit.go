package mirror

import (
	"context"
	"io"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/reference"
)

// maxConfig is the maximum size of the configuration of an image that rules read, in bytes.
const maxConfig = 4 << 20

// permit returns an error unless the rules allow a manifest and the caller may pull it. It looks
// nothing up in the store.
//
// Errors: registry.ErrManifestUnknown and others of registry.CheckRef; registry.ErrDenied; those of
// prove.
func (m *Mirror) permit(ctx context.Context, p *pull, ref reference.Ref) error {
	if err := registry.CheckRef(ref); err != nil {
		return err
	}
	if err := p.origin.rules.permit(p.name, ref.Tag); err != nil {
		return err
	}
	return m.prove(ctx, p, ref, false)
}

// permitImage returns an error if the rules do not allow an image, by what its manifest and its
// configuration say.
//
// Errors: registry.ErrDenied; those of openBlob.
func (m *Mirror) permitImage(ctx context.Context, p *pull, man *registry.Manifest) error {
	r := &p.origin.rules
	if !r.needManifest() {
		return nil
	}
	parsed, err := manifest.ParseStored(man.Descriptor.MediaType, man.Content)
	if err != nil {
		return nil // the store has accepted it in an earlier version, or will not
	}
	if err := r.sizes(parsed); err != nil || !r.needFacts() {
		return err
	}
	f, err := m.factsOf(ctx, p, man, parsed)
	if err != nil {
		return err
	}
	return r.image(&f, time.Now())
}

// factsOf returns what the rules need to know of an image. The platform is the one that an index of
// the repository states, or that of the configuration. The result is empty for anything that is no
// image.
func (m *Mirror) factsOf(ctx context.Context, p *pull, man *registry.Manifest, parsed *manifest.Manifest) (facts,
	error) {
	key := p.shared(string(man.Descriptor.Digest))
	if f, ok := m.facts.Get(key); ok {
		return f, nil
	}
	platform, stated := m.contents.platforms.Get(key)
	if stated && p.origin.rules.minAge == 0 {
		return facts{platform: platform}, nil
	}
	var f facts
	if config, ok := imageConfig(parsed); ok {
		var err error
		if f, err = m.readConfig(ctx, p, config); err != nil {
			return facts{}, err
		}
	}
	if stated {
		f.platform = platform
	}
	m.facts.Add(key, f, 1)
	return f, nil
}

// imageConfig returns the reference to the configuration of an image.
func imageConfig(parsed *manifest.Manifest) (manifest.Reference, bool) {
	for _, ref := range parsed.References {
		if ref.Kind == manifest.KindConfig {
			return ref, ref.MediaType == ocispec.MediaTypeImageConfig ||
				ref.MediaType == "application/vnd.docker.container.image.v1+json"
		}
	}
	return manifest.Reference{}, false
}

var errConfig = registry.ErrDenied.WithMessage("the rules of this mirror cannot read the configuration of the image")

// readConfig returns what a configuration says.
//
// Errors: registry.ErrDenied if it is too large or malformed, because a client may read it differently;
// those of openBlob.
func (m *Mirror) readConfig(ctx context.Context, p *pull, config manifest.Reference) (facts, error) {
	if config.Size > maxConfig {
		return facts{}, errConfig
	}
	blob, err := m.openBlob(ctx, p, config.Digest, nil)
	if err != nil {
		return facts{}, err
	}
	defer func() { _ = blob.Body.Close() }() // it was only read
	if blob.Descriptor.Size > maxConfig {
		return facts{}, errConfig
	}
	content, err := io.ReadAll(io.LimitReader(blob.Body, maxConfig))
	if err != nil {
		return facts{}, err
	}
	f, err := parseFacts(content)
	if err != nil {
		return facts{}, errConfig.WithCause(err)
	}
	return f, nil
}
