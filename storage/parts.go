package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/internal/parallel"
)

// check looks whether all that the manifest names is in the repository, and stays there.
//
// Errors: registry.ErrManifestBlobUnknown with all that is missing; registry.ErrManifestInvalid if
// a size, or the media type of a manifest, is not the one declared.
func (p *manifestPut) check(ctx context.Context) error {
	refs := p.parsed.References
	parts := make([]part, len(refs))
	absent := make([]bool, len(refs))
	mistyped := make([]bool, len(refs))
	err := parallel.Each(parallelism, len(refs), func(i int) (err error) {
		parts[i], err = p.find(ctx, refs[i])
		m, size := parts[i].manifest, parts[i].size()
		mistyped[i] = isImage(refs[i].MediaType) && (m == nil || !isImage(m.MediaType))
		if errors.Is(err, errMissing) {
			absent[i] = !p.s.opts.Sparse && !refs[i].NonDistributable
			return nil
		}
		if err == nil && m != nil && !p.accepted && misleads(refs[i], m) {
			return registry.ErrManifestInvalid.WithMessage(
				fmt.Sprintf("manifest invalid: %s has the media type %s and not %s", refs[i].Digest, m.MediaType,
					refs[i].MediaType))
		}
		if err == nil && size != refs[i].Size && !(p.anySize && m != nil) {
			return registry.ErrManifestInvalid.WithMessage(
				fmt.Sprintf("manifest invalid: %s has %d bytes and not %d", refs[i].Digest, size, refs[i].Size))
		}
		return err
	})
	if err != nil {
		return err
	}
	p.parts = parts
	var missing []digest.Digest
	for i, ref := range refs {
		if absent[i] {
			missing = append(missing, ref.Digest)
		}
	}
	if len(missing) > 0 {
		return registry.ErrManifestBlobUnknown.WithDetail(missing)
	}
	p.mistyped = slices.Contains(mistyped, true)
	p.found = nil
	for _, part := range parts {
		if part.key != "" {
			p.found = append(p.found, part.key)
		}
	}
	return nil
}

// misleads reports whether ref states another media type than the manifest m has, whose content
// states none. Clients that go by the one could not read what they get with the other. Somebody
// else may have pushed the content under that type, and the push of the index is where its owner
// can learn of it.
func misleads(ref manifest.Reference, m *manifestRecord) bool {
	if ref.Kind != manifest.KindManifest || strings.EqualFold(m.MediaType, ref.MediaType) {
		return false
	}
	var states struct {
		MediaType string `json:"mediaType"`
	}
	return json.Unmarshal(m.content, &states) == nil && states.MediaType == ""
}

// part is something that a manifest names, as it is in the repository: a manifest or a link. The
// zero part is not there.
type part struct {
	key      string
	manifest *manifestRecord
	link     *link
}

func (p *part) size() int64 {
	switch {
	case p.manifest != nil:
		return p.manifest.Size
	case p.link != nil:
		return p.link.Size
	}
	return 0
}

// find returns something that the manifest names. From now on it stays: a mark that a delete or a
// collector has put on it is taken off.
//
// Errors: errMissing.
func (p *manifestPut) find(ctx context.Context, ref manifest.Reference) (part, error) {
	if ref.Kind == manifest.KindManifest || ref.Kind == manifest.KindAny {
		m, err := p.s.unmark(ctx, p.repo, ref.Digest)
		if err != nil {
			return part{}, err
		}
		if m.readable() {
			return part{key: manifestKey(p.repo, ref.Digest), manifest: m}, nil
		}
		if ref.Kind == manifest.KindManifest {
			return part{}, errMissing
		}
	}
	l, err := p.s.need(ctx, p.repo, ref.Digest)
	if errors.Is(err, errMissing) && p.unhide {
		l, err = p.s.unhide(ctx, p.repo, ref.Digest)
	}
	if err != nil {
		return part{}, err
	}
	return part{key: linkKey(p.repo, ref.Digest), link: l}, nil
}
