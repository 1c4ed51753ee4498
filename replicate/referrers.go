package replicate

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/subjecttag"
	"github.com/registrykit/registry/reference"
)

// referrersTag is the list of the referrers of a manifest under the tag of the referrers tag schema
// (distribution spec, section "Referrers Tag Schema").
type referrersTag struct {
	subject digest.Digest
	source  *registry.Manifest // the list of the source, or nil
	members []ocispec.Descriptor
}

// cosignSuffixes are the ends of the tags that cosign gives to what belongs to a manifest.
func cosignSuffixes() []string { return []string{".sig", ".att", ".sbom"} }

// attached returns links to what belongs to n, and what n does not name.
func (g *graph) attached(ctx context.Context, n *node) ([]link, error) {
	var links []link
	err := retry(ctx, g.retries, func() error {
		links = links[:0]
		for desc, err := range g.from.Referrers(ctx, g.repo, n.desc.Digest, nil) {
			if err != nil {
				return err
			}
			links = append(links, link{desc: bare(desc)})
			if len(links) > maxReferences {
				return errors.New("the manifest has too many referrers")
			}
		}
		return nil
	})
	if err != nil && !isAbsent(err) {
		return nil, err
	}
	listed, err := g.listed(ctx, n)
	if err != nil {
		return nil, err
	}
	links = append(links, listed...)
	for _, suffix := range cosignSuffixes() {
		tag := subjecttag.Of(n.desc.Digest) + suffix
		if len(tag) > reference.MaxTagLength {
			continue // cosign cannot use such a tag either
		}
		desc, err := g.stat(ctx, tag)
		if err != nil {
			return nil, err
		}
		if desc.Digest != "" {
			links = append(links, link{desc: bare(desc), tag: tag})
		}
	}
	return links, nil
}

// listed returns links to the referrers of n in the list of the referrers tag schema.
func (g *graph) listed(ctx context.Context, n *node) ([]link, error) {
	desc, err := g.stat(ctx, subjecttag.Of(n.desc.Digest))
	if err != nil || desc.Digest == "" || desc.MediaType != ocispec.MediaTypeImageIndex {
		return nil, err
	}
	m, err := g.get(ctx, reference.Ref{Digest: desc.Digest})
	if isAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var index ocispec.Index
	if err := json.Unmarshal(m.Content, &index); err != nil {
		return nil, registry.ErrManifestInvalid.WithMessage("the list of referrers cannot be decoded").WithCause(err)
	}
	t := referrersTag{subject: n.desc.Digest, source: m}
	var links []link
	for _, desc := range index.Manifests {
		if registry.CheckDigest(desc.Digest) == nil {
			t.members = append(t.members, desc)
			links = append(links, link{desc: bare(desc)})
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tagged = append(g.tagged, t)
	return links, nil
}

// stat returns the descriptor under a tag, or the zero Descriptor if there is none.
func (g *graph) stat(ctx context.Context, tag string) (desc ocispec.Descriptor, err error) {
	err = retry(ctx, g.retries, func() (err error) {
		desc, err = g.from.StatManifest(ctx, g.repo, reference.Ref{Tag: tag}, nil)
		return err
	})
	if isAbsent(err) {
		return ocispec.Descriptor{}, nil
	}
	return desc, err
}

// isAbsent reports whether an error means that something does not exist.
func isAbsent(err error) bool {
	for _, absent := range []*registry.Error{registry.ErrManifestUnknown, registry.ErrNameUnknown,
		registry.ErrUnsupported} {
		if errors.Is(err, absent) {
			return true
		}
	}
	return false
}

// bare returns the media type, digest and size of a descriptor.
func bare(desc ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size}
}

// maxListTries is the number of attempts to change the list of the referrers of one manifest while
// others change it.
const maxListTries = 5

// putReferrersTag makes the list of the referrers of a manifest at the destination contain t.
func (c *copier) putReferrersTag(ctx context.Context, t referrersTag) error {
	a := attempts{retries: maxListTries}
	for {
		err := c.tryReferrersTag(ctx, t)
		if errors.Is(err, registry.ErrPreconditionFailed) {
			err = again{err}
		}
		if err == nil {
			return nil
		}
		if err := a.next(ctx, err, 0); err != nil {
			return err
		}
	}
}

func (c *copier) tryReferrersTag(ctx context.Context, t referrersTag) error {
	tag := subjecttag.Of(t.subject)
	now, err := c.dst.GetManifest(ctx, c.to.repo, reference.Ref{Tag: tag})
	if err != nil && !isAbsent(err) {
		return err
	}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	cond := &registry.Condition{NoneMatch: []digest.Digest{registry.AnyDigest}}
	if err == nil {
		if err := json.Unmarshal(now.Content, &index); err != nil || now.Descriptor.MediaType != index.MediaType {
			return registry.ErrManifestInvalid.WithMessage("the tag " + tag + " at the destination is no list of referrers")
		}
		cond = &registry.Condition{Match: []digest.Digest{now.Descriptor.Digest}}
	}
	have := map[digest.Digest]bool{}
	for _, desc := range index.Manifests {
		have[desc.Digest] = true
	}
	before := len(index.Manifests)
	for _, desc := range t.members {
		if !have[desc.Digest] {
			have[desc.Digest] = true
			index.Manifests = append(index.Manifests, desc)
		}
	}
	if len(index.Manifests) == before {
		return nil
	}
	content := []byte(nil)
	if t.source != nil && before == 0 {
		content = t.source.Content // byte for byte
	} else if content, err = json.Marshal(index); err != nil {
		return err
	}
	return c.putIf(ctx, content, tag, cond)
}

// putIf points a tag at an index, under a condition if the destination supports conditions.
func (c *copier) putIf(ctx context.Context, content []byte, tag string, cond *registry.Condition) error {
	opts := &registry.PutOptions{Tags: []registry.TagPut{{Name: tag, If: cond}}, AcceptWrongSizes: true}
	_, err := c.dst.PutManifest(ctx, c.to.repo, ocispec.MediaTypeImageIndex, content, opts)
	if errors.Is(err, registry.ErrUnsupported) {
		opts.Tags[0].If = nil
		_, err = c.dst.PutManifest(ctx, c.to.repo, ocispec.MediaTypeImageIndex, content, opts)
	}
	return err
}
