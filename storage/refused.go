package storage

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/internal/object"
)

// A push is refused if something that its manifest names is missing. The client then sends what is
// missing, and the manifest again. What it sends, and what was there already, must not be collected
// before that, or it could be refused for ever. As a rule the grace sees to that. Only where the
// grace is shorter than sendAgain, the refused push leaves a record of the state refused, which
// collectors take for a root.

// graceCovers reports whether the grace keeps content from collectors until a refused push has been
// repeated, if it is young, or refreshed. Half of the grace is what is left of it at least to what
// is not stale.
func (s *Store) graceCovers() bool { return s.opts.Grace/2 >= object.ResendTime }

// refuse ends an attempt whose manifest is pending as m, because of err, and returns err. mine
// reports whether this push has written m: the record of another push is left to that.
//
// Errors: ErrChanged if a collector has removed m, so that it kept nothing meanwhile.
func (p *manifestPut) refuse(ctx context.Context, m *object.Manifest, mine bool, err error) error {
	if errors.Is(err, registry.ErrManifestBlobUnknown) {
		if !p.repo.store.graceCovers() {
			if _, rerr := p.setState(ctx, m, object.Refused); object.IsConflict(rerr) {
				return rerr
			}
			return err
		}
		p.refreshParts(ctx)
	}
	if mine {
		// else it is collected as that of a push that has died
		_ = p.repo.Driver.Delete(ctx, p.repo.ManifestKey(p.digest), m.Version)
	}
	return err
}

// refreshParts refreshes what the manifest names and the last check has found, as a HEAD of it
// would. If that fails, the next push may be refused again, and its client sends more.
func (p *manifestPut) refreshParts(ctx context.Context) {
	_ = parallel.Each(object.Parallelism, len(p.parts), func(i int) error {
		part, d := p.parts[i], p.parsed.References[i].Digest
		switch {
		case part.manifest != nil && p.repo.ExpiresSoon(part.manifest):
			_, _ = p.repo.TouchManifest(ctx, d, part.manifest)
		case part.link != nil && p.repo.Stale(part.link.ModTime):
			_, _ = p.repo.TouchLink(ctx, d, part.link)
		}
		return nil
	})
}

// asRefused turns the record of a manifest into that of a refused push: it has no content, only the
// digests that collectors need.
func (p *manifestPut) asRefused(n *object.Manifest) {
	n.State, n.Size, n.Sum = object.Refused, 0, object.Checksum(nil)
	n.References = make([]digest.Digest, len(p.parsed.References))
	for i, ref := range p.parsed.References {
		n.References[i] = ref.Digest
	}
}
