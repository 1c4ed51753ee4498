package storage

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// A push is refused if something that its manifest names is missing. The client then sends what is
// missing, and the manifest again. What it sends, and what was there already, must not be collected
// before that, or the push could be refused for ever. Usually the grace period ensures that. Only
// if the grace period is shorter than object.ResendTime requires, a refused push leaves a record in
// state Refused, which collectors treat as a root.

// graceCovers reports whether the grace period protects young or renewed content until a refused
// push has been repeated. Content that is not stale has at least half of the grace period left.
func (s *Store) graceCovers() bool { return s.opts.Grace/2 >= object.ResendTime }

// refuse ends an attempt that failed with err while its manifest was pending as m, and returns err. It
// removes the pending record only if this push has written it.
//
// Errors: driver.ErrChanged if a collector has removed m, so that m protected nothing.
func (p *manifestPut) refuse(ctx context.Context, m *object.Manifest, err error) error {
	if errors.Is(err, registry.ErrManifestBlobUnknown) {
		if !p.repo.store.graceCovers() {
			if _, rerr := p.setState(ctx, m, object.Refused); driver.IsConflict(rerr) {
				return rerr
			}
			return err
		}
		p.refreshParts(ctx)
	}
	if p.ownPending {
		// If this fails, collectors remove the record like that of a push that has died.
		_ = p.repo.Driver.Delete(ctx, p.repo.ManifestKey(p.digest), m.Version)
	}
	return err
}

// refreshParts renews what the manifest names and the last check has found, like a HEAD request for
// it. If that fails, the next push may be refused again, and its client sends more.
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

// asRefused turns n into the record of a refused push. It has no content, only the digests that
// collectors need.
func (p *manifestPut) asRefused(n *object.Manifest) {
	n.State, n.Size, n.Sum = object.Refused, 0, object.Checksum(nil)
	n.References = make([]digest.Digest, len(p.parsed.References))
	for i, ref := range p.parsed.References {
		n.References[i] = ref.Digest
	}
}
