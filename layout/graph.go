package layout

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/internal/options"
)

// facts are what Referrers needs to know about a manifest.
type facts struct {
	subject  digest.Digest
	children []digest.Digest // what an index names
}

// graph remembers the facts of manifests. Their content never changes. Layout.mu guards it.
type graph struct {
	facts map[digest.Digest]facts
}

// forget makes a manifest be read again, after it was stored.
func (g *graph) forget(d digest.Digest) { delete(g.facts, d) }

// Referrers implements [registry.Backend]. It lists the referrers of the whole layout, whatever the
// repository. The first call reads all manifests that index.json leads to, and later ones those
// that are new.
//
// Errors: those of reading index.json and manifests; an error if there are more than
// Options.MaxManifests. Content that is missing or is no manifest is skipped.
func (l *Layout) Referrers(ctx context.Context, repo string, d digest.Digest,
	opts *registry.ReferrersOptions) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		all, err := l.referrers(ctx, repo, d)
		if err != nil {
			yield(ocispec.Descriptor{}, err)
			return
		}
		o := options.Value(opts)
		for _, r := range all {
			if err := ctx.Err(); err != nil {
				yield(ocispec.Descriptor{}, err)
				return
			}
			if r <= o.After {
				continue
			}
			desc, err := l.referrer(r)
			if err != nil {
				yield(ocispec.Descriptor{}, err)
				return
			}
			if o.Scan != nil && !o.Scan(r, desc.Size) {
				return
			}
			if len(o.ArtifactTypes) > 0 && !slices.Contains(o.ArtifactTypes, desc.ArtifactType) {
				continue
			}
			if !yield(desc, nil) {
				return
			}
		}
	}
}

// referrer returns the descriptor of a referrer.
func (l *Layout) referrer(d digest.Digest) (ocispec.Descriptor, error) {
	desc := ocispec.Descriptor{Digest: d, Size: -1}
	l.mu.Lock()
	x, err := l.current()
	if err == nil && len(x.digests[d]) > 0 {
		desc = x.digests[d][0].desc
	}
	l.mu.Unlock()
	if err != nil {
		return desc, err
	}
	m, err := l.manifest(desc)
	if err != nil {
		return desc, err
	}
	parsed, err := manifest.ParseStored(m.Descriptor.MediaType, m.Content)
	if err != nil {
		return desc, registry.ErrManifestInvalid.WithMessage(fmt.Sprintf("manifest %s: %s", d, err))
	}
	return parsed.Descriptor(d, m.Descriptor.Size), nil
}

// referrers returns the digests of the manifests whose subject is d, in ascending order.
func (l *Layout) referrers(ctx context.Context, repo string, d digest.Digest) ([]digest.Digest, error) {
	if err := check(ctx, repo, d); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	x, err := l.current()
	if err != nil {
		return nil, err
	}
	var found []digest.Digest
	err = l.walk(ctx, x, func(at digest.Digest, f facts) bool {
		if f.subject == d {
			found = append(found, at)
		}
		return true
	})
	slices.Sort(found)
	return found, err
}

// reaches reports whether index.json leads to a manifest.
func (l *Layout) reaches(x *index, d digest.Digest) (bool, error) {
	found := false
	err := l.walk(context.Background(), x, func(at digest.Digest, _ facts) bool {
		found = found || at == d
		return !found
	})
	return found, err
}

// walk calls f for each manifest that index.json leads to, until f returns false.
func (l *Layout) walk(ctx context.Context, x *index, f func(digest.Digest, facts) bool) error {
	next := make([]ocispec.Descriptor, 0, len(x.entries))
	for _, e := range x.entries {
		next = append(next, e.desc)
	}
	seen := make(map[digest.Digest]bool, len(next))
	for len(next) > 0 {
		desc := next[len(next)-1]
		next = next[:len(next)-1]
		if seen[desc.Digest] {
			continue
		}
		if seen[desc.Digest] = true; len(seen) > l.opts.MaxManifests {
			return fmt.Errorf("layout: index.json leads to more than %d manifests", l.opts.MaxManifests)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		known, err := l.factsOf(desc)
		if err != nil {
			return err
		}
		if !f(desc.Digest, known) {
			return nil
		}
		for _, child := range known.children {
			if !seen[child] {
				next = append(next, ocispec.Descriptor{Digest: child, Size: -1})
			}
		}
	}
	return nil
}

// factsOf returns the facts of a manifest. They are empty for anything else.
func (l *Layout) factsOf(desc ocispec.Descriptor) (facts, error) {
	if f, ok := l.graph.facts[desc.Digest]; ok {
		return f, nil
	}
	var f facts
	m, err := l.manifest(desc)
	if errors.Is(err, registry.ErrManifestUnknown) {
		return f, nil // it may come later
	}
	if err != nil {
		return f, err
	}
	if parsed, err := manifest.ParseStored(m.Descriptor.MediaType, m.Content); err == nil {
		if parsed.Subject != nil {
			f.subject = parsed.Subject.Digest
		}
		for _, ref := range parsed.References {
			if ref.Kind >= manifest.KindManifest {
				f.children = append(f.children, ref.Digest)
			}
		}
	}
	if l.graph.facts == nil {
		l.graph.facts = map[digest.Digest]facts{}
	}
	l.graph.facts[desc.Digest] = f
	return f, nil
}
