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
	"github.com/registrykit/registry/storage/internal/object"
)

// check ensures that everything that the manifest names is in the repository and stays there. A
// child that is sparse counts as missing, because the repository may lack content of it. A sparse
// push accepts what is missing.
//
// Errors: registry.ErrManifestBlobUnknown with everything that is missing;
// registry.ErrManifestInvalid if a size, or the media type of a manifest, differs from the one
// declared.
func (p *manifestPut) check(ctx context.Context) error {
	refs := p.parsed.References
	parts := make([]part, len(refs))
	absent := make([]bool, len(refs))
	mistyped := make([]bool, len(refs))
	err := p.repo.Each(len(refs), func(i int) (err error) {
		parts[i], err = p.find(ctx, refs[i])
		m, size := parts[i].manifest, parts[i].size()
		mistyped[i] = isImage(refs[i].MediaType) && (m == nil || !isImage(m.MediaType))
		if errors.Is(err, object.ErrMissing) {
			absent[i] = !refs[i].NonDistributable
			return nil
		}
		absent[i] = m != nil && m.Sparse
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
	if len(missing) > 0 && !p.sparse {
		return registry.ErrManifestBlobUnknown.WithDetail(missing)
	}
	p.lacks = len(missing) > 0
	p.mistyped = slices.Contains(mistyped, true)
	p.found = nil
	for _, part := range parts {
		if part.key != "" {
			p.found = append(p.found, part.key)
		}
	}
	return nil
}

// misleads reports whether ref states a media type other than that of the manifest m, whose content
// states none. Clients that rely on one of the two could not read what they get with the other.
// Another user may have pushed the content under that type, and the push of the index is where the
// owner of the index can notice.
func misleads(ref manifest.Reference, m *object.Manifest) bool {
	if ref.Kind != manifest.KindManifest || strings.EqualFold(m.MediaType, ref.MediaType) {
		return false
	}
	var states struct {
		MediaType string `json:"mediaType"`
	}
	return json.Unmarshal(m.Content, &states) == nil && states.MediaType == ""
}

// part is something that a manifest names, as it is in the repository: a manifest or a link. The
// zero part is missing.
type part struct {
	key      string
	manifest *object.Manifest
	link     *object.Link
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

// find returns something that the manifest names, and ensures that it stays: it removes the mark of
// a delete or a collector.
//
// Errors: object.ErrMissing.
func (p *manifestPut) find(ctx context.Context, ref manifest.Reference) (part, error) {
	if ref.Kind == manifest.KindManifest || ref.Kind == manifest.KindAny {
		m, err := p.repo.KeepManifest(ctx, ref.Digest)
		if err != nil {
			return part{}, err
		}
		if m.Readable() {
			return part{key: p.repo.ManifestKey(ref.Digest), manifest: m}, nil
		}
		if ref.Kind == manifest.KindManifest {
			return part{}, object.ErrMissing
		}
	}
	l, err := p.repo.KeepLink(ctx, ref.Digest)
	if errors.Is(err, object.ErrMissing) && p.unhide {
		l, err = p.repo.unhide(ctx, ref.Digest)
	}
	if err != nil {
		return part{}, err
	}
	return part{key: p.repo.LinkKey(ref.Digest), link: l}, nil
}
