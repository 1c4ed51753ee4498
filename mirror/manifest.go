package mirror

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/mirror/internal/upstream"
	"github.com/registrykit/registry/reference"
)

// GetManifest implements [registry.Reader]. A manifest that is asked for by digest is fetched once.
// A tag is looked up at the upstream after its TTL, by a HEAD; its manifest is then fetched by
// digest if the store does not have it.
//
// Errors: registry.ErrManifestUnknown, ErrDenied, ErrUnauthorized, ErrTooManyRequests and
// ErrUnavailable as the documentation of outages says; those of Options.Admit.
func (m *Mirror) GetManifest(ctx context.Context, repo string, ref reference.Ref) (*registry.Manifest, error) {
	p, err := m.route(ctx, repo)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return m.store.GetManifest(ctx, repo, ref)
	}
	if err := m.permit(ctx, p, ref); err != nil {
		return nil, err
	}
	man, stale, err := m.manifest(ctx, p, ref)
	if err != nil {
		return nil, err
	}
	if err := m.permitImage(ctx, p, man); err != nil {
		return nil, err
	}
	if stale {
		m.warnStale(ctx, p.origin)
	}
	m.pulled(p, man.Descriptor.Digest, ref.Tag)
	return man, nil
}

// StatManifest implements [registry.Reader]. A HEAD of a client causes at most a HEAD at the
// upstream, unless a rule or Options.Admit needs the manifest.
//
// Errors: as GetManifest.
func (m *Mirror) StatManifest(ctx context.Context, repo string, ref reference.Ref,
	opts *registry.StatOptions) (ocispec.Descriptor, error) {
	p, err := m.route(ctx, repo)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if p == nil {
		return m.store.StatManifest(ctx, repo, ref, opts)
	}
	if err := m.permit(ctx, p, ref); err != nil {
		return ocispec.Descriptor{}, err
	}
	if m.opts.Admit != nil || p.origin.rules.needManifest() {
		man, stale, err := m.manifest(ctx, p, ref)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		if err := m.permitImage(ctx, p, man); err != nil {
			return ocispec.Descriptor{}, err
		}
		if stale {
			m.warnStale(ctx, p.origin)
		}
		return man.Descriptor, nil
	}
	if ref.Tag != "" {
		state, err := m.resolveTag(ctx, p, ref.Tag)
		if err == nil && state.stale {
			m.warnStale(ctx, p.origin)
		}
		return state.desc, err
	}
	return m.statDigest(ctx, p, ref.Digest)
}

// statDigest returns the descriptor of a manifest, from the store or by a HEAD at the upstream.
func (m *Mirror) statDigest(ctx context.Context, p *pull, d digest.Digest) (ocispec.Descriptor, error) {
	ref := reference.Ref{Digest: d}
	desc, err := m.store.StatManifest(ctx, p.repo, ref, nil)
	if err == nil {
		m.count.hits.Add(1)
	}
	if !errors.Is(err, registry.ErrManifestUnknown) {
		return desc, err
	}
	if err := m.mayAsk(ctx, p, registry.ErrManifestUnknown); err != nil {
		return ocispec.Descriptor{}, err
	}
	if m.missing.has(p, string(d)) {
		return ocispec.Descriptor{}, registry.ErrManifestUnknown
	}
	return m.stats.do(ctx, p.flight(string(d)), 0, func(func()) (ocispec.Descriptor, error) {
		ctx, cancel := detached()
		defer cancel()
		if desc, err := m.store.StatManifest(ctx, p.repo, ref, nil); err == nil {
			return desc, nil
		}
		desc, err := p.remote().StatManifest(ctx, p.name, ref)
		if err != nil {
			return desc, m.contentFailed(p, string(d), registry.ErrManifestUnknown, err)
		}
		return desc, nil
	})
}

// manifest returns a manifest from the store or the upstream. stale reports that the upstream has
// not confirmed the tag of ref.
func (m *Mirror) manifest(ctx context.Context, p *pull, ref reference.Ref) (_ *registry.Manifest, stale bool,
	_ error) {
	d := ref.Digest
	if ref.Tag != "" {
		state, err := m.resolveTag(ctx, p, ref.Tag)
		if err != nil {
			return nil, false, err
		}
		d, stale = state.desc.Digest, state.stale
	}
	defer m.evictor.Reading(p.repo, d)()
	man, err := m.store.GetManifest(ctx, p.repo, reference.Ref{Digest: d})
	if err == nil {
		m.count.hits.Add(1)
		m.note(p, man)
		return man, stale, nil
	}
	if !errors.Is(err, registry.ErrManifestUnknown) {
		return nil, false, err
	}
	if man, err = m.fetch(ctx, p, d, ref.Tag); err == nil || ref.Tag == "" || ctx.Err() != nil {
		return man, stale, err
	}
	return m.storedInstead(ctx, p, ref, err)
}

// storedInstead returns what the store has for a tag whose newer manifest could not be fetched.
func (m *Mirror) storedInstead(ctx context.Context, p *pull, ref reference.Ref, err error) (*registry.Manifest, bool,
	error) {
	var own *decision
	if errors.As(err, &own) {
		return nil, false, own.err
	}
	if p.caller != nil && refusesCredentials(err) {
		return nil, false, err
	}
	man, serr := m.store.GetManifest(ctx, p.repo, ref)
	if serr != nil {
		return nil, false, err
	}
	m.note(p, man)
	return man, true, nil
}

// fetch gets a manifest from the upstream, once for all callers, lets Options.Admit decide about it,
// and stores it. tag is the tag that led to it, or "".
//
// Errors: those of origin.failure; a *decision, wrapped in no other error.
func (m *Mirror) fetch(ctx context.Context, p *pull, d digest.Digest, tag string) (*registry.Manifest, error) {
	if p.exempt != nil && p.exempt.Descriptor.Digest == d {
		return p.exempt, nil
	}
	if err := m.mayAsk(ctx, p, registry.ErrManifestUnknown); err != nil {
		return nil, err
	}
	if err := m.admission.refused(p, d); err != nil && p.exempt == nil {
		return nil, err
	}
	if m.missing.has(p, string(d)) {
		return nil, registry.ErrManifestUnknown
	}
	key := p.flight(string(d))
	if p.exempt != nil {
		key += "\x00exempt"
	}
	return m.fetches.do(ctx, key, m.opts.AdmitWait, func(hold func()) (*registry.Manifest, error) {
		return m.fetchNow(p, d, tag, hold)
	})
}

func (m *Mirror) fetchNow(p *pull, d digest.Digest, tag string, hold func()) (*registry.Manifest, error) {
	ctx, cancel := detached()
	defer cancel()
	ref := reference.Ref{Digest: d}
	if man, err := m.store.GetManifest(ctx, p.repo, ref); err == nil {
		return man, nil // another flight has landed since the caller looked
	}
	m.count.misses.Add(1)
	man, err := p.remote().GetManifest(ctx, p.name, ref)
	if err != nil {
		return nil, m.contentFailed(p, string(d), registry.ErrManifestUnknown, err)
	}
	if p.exempt != nil {
		return man, nil // what a decision reads is not stored before the decision
	}
	if err := m.admit(p, man, tag, hold); err != nil {
		return nil, err
	}
	ctx, cancel = detached()
	defer cancel()
	if _, err := m.put(ctx, p, man, m.take(p, man.Descriptor, tag)...); err != nil {
		if errors.Is(err, registry.ErrManifestInvalid) || errors.Is(err, registry.ErrDigestInvalid) {
			m.report(p.origin, p.repo, err)
			return nil, upstream.ErrContent.WithCause(err)
		}
		m.log.Warn("a manifest could not be stored", "repository", p.repo, "digest", d, "error", err)
	}
	m.note(p, man)
	return man, nil
}

// put stores a manifest of an upstream and points tags at it.
func (m *Mirror) put(ctx context.Context, p *pull, man *registry.Manifest, tags ...string) (registry.PutResult, error) {
	puts := make([]registry.TagPut, len(tags))
	for i, tag := range tags {
		puts[i].Name = tag
	}
	return m.store.PutManifest(ctx, p.repo, man.Descriptor.MediaType, man.Content, &registry.PutOptions{
		Digest: man.Descriptor.Digest, Tags: puts, Sparse: true, AcceptWrongSizes: true, By: "mirror",
	})
}

// contentFailed returns the error for content that the store does not have and the upstream has
// failed to send.
func (m *Mirror) contentFailed(p *pull, ref string, unknown *registry.Error, err error) error {
	m.report(p.origin, p.repo, err)
	m.missing.add(p, ref, err)
	if p.caller != nil && refusesCredentials(err) {
		m.proofs.forget(p)
	}
	return p.origin.failure(&question{unknown: unknown, caller: p.caller}, err).err
}
