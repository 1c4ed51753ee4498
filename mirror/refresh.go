package mirror

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

// Refresh asks the upstream for a tag now, whatever its TTL, and forgets that it did not exist.
// A tag of "" means all tags of the repository that the store has. It returns the number of tags
// that have changed. The manifest of a changed tag is fetched.
//
// Errors: registry.ErrNameUnknown if no upstream has the prefix of repo; those of the upstream.
func (m *Mirror) Refresh(ctx context.Context, repo, tag string) (changed int, err error) {
	p, err := m.routeUpstream(ctx, repo)
	if err != nil {
		return 0, err
	}
	m.lists.forget(p, "")
	m.missing.forget(p, tagsRef)
	all := []string{tag}
	if tag == "" {
		if all, err = m.storedTags(ctx, p); err != nil {
			return 0, err
		}
	}
	var errs []error
	for _, tag := range all {
		if ctx.Err() != nil {
			return changed, ctx.Err()
		}
		was, is, err := m.refreshTag(ctx, p, tag)
		if was != is {
			changed++
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("tag %s: %w", tag, err))
		}
	}
	return changed, errors.Join(errs...)
}

// refreshTag asks the upstream for one tag. It returns what the tag of the store pointed at, and
// what it points at now.
func (m *Mirror) refreshTag(ctx context.Context, p *pull, tag string) (was, is digest.Digest, err error) {
	ref := reference.Ref{Tag: tag}
	if err := m.permit(ctx, p, ref); err != nil {
		return "", "", err
	}
	if was, err = m.storedDigest(ctx, p, ref); err != nil {
		return "", "", err
	}
	if err := m.mayAsk(ctx, p, registry.ErrManifestUnknown); err != nil {
		return was, was, err
	}
	m.forgetTag(p, tag)
	desc, err := p.remote().StatManifest(ctx, p.name, ref)
	if err == nil {
		err = m.followTag(ctx, p, tag, desc)
	} else if state, ferr := m.tagFailed(ctx, p, tag, err); ferr != nil || !state.stale {
		err = ferr
	}
	is, serr := m.storedDigest(ctx, p, ref)
	if is != was && isMissing(err) {
		err = nil // the change is that the tag is gone
	}
	return was, is, errors.Join(err, serr)
}

// followTag points a tag of the store at what it points at at the upstream, and fetches that.
func (m *Mirror) followTag(ctx context.Context, p *pull, tag string, desc ocispec.Descriptor) error {
	m.forgetDigest(p, desc.Digest)
	if _, err := m.tagFound(ctx, p, tag, desc); err != nil {
		return err
	}
	man, err := m.store.GetManifest(ctx, p.repo, reference.Ref{Digest: desc.Digest})
	if errors.Is(err, registry.ErrManifestUnknown) {
		man, err = m.fetch(ctx, p, desc.Digest, tag)
	}
	if err == nil {
		m.note(p, man)
	}
	return err
}

// storedDigest returns what a tag of the store points at, or "".
func (m *Mirror) storedDigest(ctx context.Context, p *pull, ref reference.Ref) (digest.Digest, error) {
	desc, err := m.store.StatManifest(ctx, p.repo, ref, nil)
	return desc.Digest, ignoreMissing(err)
}
