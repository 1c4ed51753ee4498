package replicate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/internal/platform"
	"github.com/registrykit/registry/reference"
)

// read reads the manifest of n unless it has been read, and returns links to its parts.
//
// Errors: registry.ErrManifestInvalid, also for schema 1; those of the source.
func (g *graph) read(ctx context.Context, n *node) ([]link, error) {
	if n.content == nil {
		m, err := g.get(ctx, reference.Ref{Digest: n.desc.Digest})
		if err != nil {
			return nil, err
		}
		n.content, n.desc.MediaType, n.desc.Size = m.Content, m.Descriptor.MediaType, m.Descriptor.Size
	}
	m, err := manifest.ParseStored(n.desc.MediaType, n.content)
	if err != nil {
		return nil, registry.ErrManifestInvalid.WithMessage(err.Error())
	}
	n.subject = m.Subject
	leftOut, err := g.leftOut(n.content, m)
	if err != nil {
		return nil, err
	}
	links := make([]link, 0, len(m.References))
	for _, ref := range m.References {
		if ref.NonDistributable {
			continue
		}
		if leftOut[ref.Digest] {
			n.sparse = true
			continue
		}
		isBlob, err := g.isPartBlob(ctx, ref)
		if err != nil {
			return nil, err
		}
		desc := ocispec.Descriptor{MediaType: ref.MediaType, Digest: ref.Digest, Size: ref.Size}
		links = append(links, link{desc: desc, isBlob: isBlob, child: !isBlob})
	}
	return links, nil
}

// isPartBlob reports whether a part of a manifest is a blob. A part of an index whose media type says
// nothing may be either. It is a blob if the source has such a blob.
func (g *graph) isPartBlob(ctx context.Context, ref manifest.Reference) (bool, error) {
	switch ref.Kind {
	case manifest.KindManifest:
		return false, nil
	case manifest.KindAny:
	default:
		return true, nil
	}
	err := retry(ctx, g.retries, func() error {
		_, err := g.from.StatBlob(ctx, g.repo, ref.Digest, nil)
		return err
	})
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, registry.ErrBlobUnknown):
		return false, nil
	}
	return false, fmt.Errorf("blob or manifest %s: %w", ref.Digest, err)
}

// platformsSeen collects what the indexes of a graph have.
type platformsSeen struct {
	indexes   bool
	found     map[platform.Platform]bool
	available []string // a few, for the error
}

const maxAvailable = 30

// leftOut returns the children of an index that are not to be copied.
func (g *graph) leftOut(content []byte, m *manifest.Manifest) (map[digest.Digest]bool, error) {
	isIndex := slices.ContainsFunc(m.References, func(ref manifest.Reference) bool {
		return ref.Kind == manifest.KindManifest || ref.Kind == manifest.KindAny
	})
	if len(g.platforms) == 0 || !isIndex {
		return nil, nil
	}
	var index ocispec.Index
	if err := json.Unmarshal(content, &index); err != nil {
		return nil, registry.ErrManifestInvalid.WithMessage("the index cannot be decoded").WithCause(err)
	}
	chosen := map[digest.Digest]bool{}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen.indexes = true
	for _, desc := range index.Manifests {
		if g.seen.choose(g.platforms, desc.Platform) {
			chosen[desc.Digest] = true
		}
	}
	out := map[digest.Digest]bool{}
	for _, desc := range index.Manifests {
		if !chosen[desc.Digest] && !(g.referrers && chosen[attestationOf(desc)]) {
			out[desc.Digest] = true
		}
	}
	return out, nil
}

// attestationOf returns the image that an attestation of BuildKit in the same index is about, or "".
func attestationOf(desc ocispec.Descriptor) digest.Digest {
	return digest.Digest(desc.Annotations["vnd.docker.reference.digest"])
}

// choose reports whether an image for p is to be copied. An image without a platform is.
func (s *platformsSeen) choose(platforms []platform.Platform, p *ocispec.Platform) bool {
	if p == nil {
		return true
	}
	// The text may be anything, and of any length.
	text := strings.Trim(reference.Quote(platform.Text(p)), `"`)
	if len(s.available) < maxAvailable && !slices.Contains(s.available, text) {
		s.available = append(s.available, text)
	}
	chosen := false
	for _, want := range platforms {
		if want.Matches(p) {
			if s.found == nil {
				s.found = map[platform.Platform]bool{}
			}
			s.found[want], chosen = true, true
		}
	}
	return chosen
}

// check returns an error if the indexes have nothing for a platform.
func (s *platformsSeen) check(platforms []platform.Platform) error {
	for _, p := range platforms {
		if s.indexes && !s.found[p] {
			return fmt.Errorf("no image for the platform %s; the index has: %s", p, strings.Join(s.available, ", "))
		}
	}
	return nil
}
