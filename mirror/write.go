package mirror

import (
	"context"
	"iter"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/reference"
)

// writable returns an error for a repository of an upstream.
//
// Errors: registry.ErrDenied; those of route.
func (m *Mirror) writable(ctx context.Context, repo string) error {
	p, err := m.route(ctx, repo)
	if err == nil && p != nil {
		err = registry.ErrDenied.WithMessage("the repository is a mirror of one at " + p.origin.Name + ": push it there")
	}
	return err
}

// CreateUpload implements [registry.Writer]. Errors: registry.ErrDenied for a mirrored repository.
func (m *Mirror) CreateUpload(ctx context.Context, repo string, opts *registry.UploadOptions) (registry.Upload, error) {
	if err := m.writable(ctx, repo); err != nil {
		return nil, err
	}
	return m.store.CreateUpload(ctx, repo, opts)
}

// ResumeUpload implements [registry.Writer]. Errors: registry.ErrDenied for a mirrored repository.
func (m *Mirror) ResumeUpload(ctx context.Context, repo, id string, opts *registry.ResumeOptions) (registry.Upload,
	error) {
	if err := m.writable(ctx, repo); err != nil {
		return nil, err
	}
	return m.store.ResumeUpload(ctx, repo, id, opts)
}

// MountBlob implements [registry.Writer]. A blob of a mirrored repository can be mounted into a
// repository of the store if the mirror would serve it to the caller without asking the upstream.
//
// Errors: registry.ErrDenied for a mirrored repository.
func (m *Mirror) MountBlob(ctx context.Context, repo string, d digest.Digest,
	opts *registry.MountOptions) (ocispec.Descriptor, error) {
	if err := m.writable(ctx, repo); err != nil {
		return ocispec.Descriptor{}, err
	}
	o := options.Value(opts)
	allow := o.Allow
	o.Allow = func(from string) error {
		if allow != nil {
			if err := allow(from); err != nil {
				return err
			}
		}
		return m.mountable(ctx, from, d)
	}
	return m.store.MountBlob(ctx, repo, d, &o)
}

// mountable returns an error unless a blob may be mounted from a repository.
func (m *Mirror) mountable(ctx context.Context, from string, d digest.Digest) error {
	p, err := m.route(ctx, from)
	switch {
	case err != nil:
		return err
	case p == nil:
		return nil
	case p.origin.PassThrough:
		return registry.ErrDenied
	}
	if err := p.origin.rules.permit(p.name, ""); err != nil || m.opts.Admit == nil {
		return err
	}
	if !m.isNamed(p, d) {
		return errNotAdmitted
	}
	return nil
}

// PutManifest implements [registry.Writer]. Errors: registry.ErrDenied for a mirrored repository.
func (m *Mirror) PutManifest(ctx context.Context, repo, mediaType string, content []byte,
	opts *registry.PutOptions) (registry.PutResult, error) {
	if err := m.writable(ctx, repo); err != nil {
		return registry.PutResult{}, err
	}
	return m.store.PutManifest(ctx, repo, mediaType, content, opts)
}

// Restore implements [registry.Restorer]. Errors: registry.ErrDenied for a mirrored repository.
func (m *Mirror) Restore(ctx context.Context, repo string, ref reference.Ref,
	opts *registry.RestoreOptions) (registry.RestoreResult, error) {
	if err := m.writable(ctx, repo); err != nil {
		return registry.RestoreResult{}, err
	}
	return m.store.Restore(ctx, repo, ref, opts)
}

// History implements [registry.Restorer]. That of a mirrored repository says what its tags pointed
// at when the mirror looked.
func (m *Mirror) History(ctx context.Context, repo string,
	opts *registry.HistoryOptions) iter.Seq2[registry.HistoryEntry, error] {
	return listed(ctx, m, repo, func(p *pull) (iter.Seq2[registry.HistoryEntry, error], error) {
		if p != nil {
			if err := m.permitRepository(ctx, p); err != nil {
				return nil, err
			}
		}
		return m.store.History(ctx, repo, opts), nil
	})
}

// deletable returns an error if a request with the credentials of a caller, see Middleware, asks for a
// delete, and the caller may not pull. Otherwise the result would tell whether the content is cached.
//
// Errors: those of prove.
func (m *Mirror) deletable(ctx context.Context, p *pull, ref reference.Ref, blob bool) error {
	if p == nil || p.caller == nil || ctx.Value(callerKey{}) == nil {
		return nil // the program itself
	}
	return m.prove(ctx, p, ref, blob)
}

// DeleteBlob implements [registry.Deleter]. The blob of a mirrored repository is fetched again when
// a client asks for it.
func (m *Mirror) DeleteBlob(ctx context.Context, repo string, d digest.Digest, opts *registry.DeleteOptions) error {
	p, err := m.route(ctx, repo)
	if err == nil {
		err = registry.CheckDigest(d)
	}
	if err == nil {
		err = m.deletable(ctx, p, reference.Ref{Digest: d}, true)
	}
	if err == nil {
		err = m.store.DeleteBlob(ctx, repo, d, opts)
	}
	if err == nil && p != nil {
		m.missing.forget(p, blobRef(d))
	}
	return err
}

// DeleteManifest implements [registry.Deleter]. The manifest of a mirrored repository is fetched
// again when a client asks for it, and a deleted tag is looked up at once.
func (m *Mirror) DeleteManifest(ctx context.Context, repo string, ref reference.Ref,
	opts *registry.DeleteOptions) error {
	p, err := m.route(ctx, repo)
	switch {
	case err != nil:
		return err
	case p == nil:
		return m.store.DeleteManifest(ctx, repo, ref, opts)
	}
	if err := registry.CheckRef(ref); err != nil {
		return err
	}
	if err := m.deletable(ctx, p, ref, false); err != nil {
		return err
	}
	o := options.Value(opts)
	var tags []string
	deleted := o.Deleted
	o.Deleted = func(target ocispec.Descriptor, removed []string) {
		tags = append(tags, removed...)
		if deleted != nil {
			deleted(target, removed)
		}
	}
	if err := m.store.DeleteManifest(ctx, repo, ref, &o); err != nil {
		return err
	}
	for _, tag := range append(tags, ref.Tag) {
		m.forgetTag(p, tag)
	}
	m.forgetDigest(p, ref.Digest)
	return nil
}

// forgetTag makes the mirror look a tag up again.
func (m *Mirror) forgetTag(p *pull, tag string) {
	m.tags.states.Remove(p.shared(tag))
	m.missing.forget(p, tag)
}

// forgetDigest makes the mirror fetch a manifest again, and decide about it again.
func (m *Mirror) forgetDigest(p *pull, d digest.Digest) {
	m.missing.forget(p, string(d))
	m.admission.forget(p, d)
	m.contents.noted.Remove(p.shared(string(d)))
	m.lists.forget(p, string(d))
}

// DeleteRepository implements [registry.Deleter]. The content of a mirrored repository is fetched
// again when a client asks for it.
func (m *Mirror) DeleteRepository(ctx context.Context, repo string, opts *registry.DeleteOptions) error {
	p, err := m.route(ctx, repo)
	if err != nil {
		return err
	}
	if err := m.deletable(ctx, p, reference.Ref{}, false); err != nil {
		return err
	}
	var tags []string
	if p != nil {
		for tag, err := range m.store.Tags(ctx, repo, nil) {
			if err != nil {
				break // the delete returns the error
			}
			if tags = append(tags, tag); len(tags) >= maxListed {
				break
			}
		}
	}
	if err := m.store.DeleteRepository(ctx, repo, opts); err != nil {
		return err
	}
	for _, tag := range tags {
		m.forgetTag(p, tag)
	}
	if p != nil {
		m.lists.forget(p, "")
		m.missing.forget(p, tagsRef)
	}
	return nil
}
