package storage

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/parallel"
)

// A push is refused if something that its manifest names is missing. The client then sends what is
// missing, and the manifest again. What it sends, and what was there already, must not be collected
// before that, or it could be refused for ever. As a rule the grace sees to that. Only where the
// grace is shorter than sendAgain, the refused push leaves a record of the state refused, which
// collectors take for a root.

// graceCovers reports whether the grace keeps content from collectors until a refused push has been
// repeated, if it is young, or refreshed. Half of the grace is what is left of it at least to what
// is not stale.
func (s *Store) graceCovers() bool { return s.opts.Grace/2 >= sendAgain }

// refuse ends an attempt whose manifest is pending as m, because of err, and returns err. mine
// reports whether this push has written m: the record of another push is left to that.
//
// Errors: ErrChanged if a collector has removed m, so that it kept nothing meanwhile.
func (p *manifestPut) refuse(ctx context.Context, m *manifestRecord, mine bool, err error) error {
	if errors.Is(err, registry.ErrManifestBlobUnknown) {
		if !p.s.graceCovers() {
			if _, rerr := p.set(ctx, m, refused); changed(rerr) {
				return rerr
			}
			return err
		}
		p.refreshParts(ctx)
	}
	if mine {
		// else it is collected as that of a push that has died
		_ = p.s.driver.Delete(ctx, manifestKey(p.repo, p.digest), m.version)
	}
	return err
}

// refreshParts refreshes what the manifest names and the last check has found, as a HEAD of it
// would. If that fails, the next push may be refused again, and its client sends more.
func (p *manifestPut) refreshParts(ctx context.Context) {
	_ = parallel.Each(parallelism, len(p.parts), func(i int) error {
		part, d := p.parts[i], p.parsed.References[i].Digest
		switch {
		case part.manifest != nil && p.s.isWaning(part.manifest):
			_, _ = p.s.refreshManifest(ctx, p.repo, d, part.manifest)
		case part.link != nil && p.s.stale(part.link.modTime):
			_, _ = p.s.refreshLink(ctx, p.repo, d, part.link)
		}
		return nil
	})
}

// asRefused turns the record of a manifest into that of a refused push: it has no content, only the
// digests that collectors need.
func (p *manifestPut) asRefused(n *manifestRecord) {
	n.State, n.Size, n.Sum = refused, 0, checksum(nil)
	n.References = make([]digest.Digest, len(p.parsed.References))
	for i, ref := range p.parsed.References {
		n.References[i] = ref.Digest
	}
}
