package quota

import (
	"context"
	"errors"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/reference"
)

// newPushID returns the identifier of what a push holds that is no upload.
func newPushID() string { return "p" + newName() }

// PutManifest implements [registry.Writer].
func (q *Quotas) PutManifest(ctx context.Context, repo, mediaType string, content []byte,
	opts *registry.PutOptions) (registry.PutResult, error) {
	a := q.of(repo)
	if a == nil {
		return q.next.PutManifest(ctx, repo, mediaType, content, opts)
	}
	o := options.Value(opts)
	d, tags, err := checkPut(repo, content, &o)
	if err != nil {
		return registry.PutResult{}, err
	}
	p, err := a.admit(ctx, newPushID(), func(ctx context.Context, c *claim) error {
		return a.claimManifest(ctx, c, repo, d, int64(len(content)), tags)
	})
	if err != nil {
		return registry.PutResult{}, err
	}
	res, err := q.next.PutManifest(ctx, repo, mediaType, content, opts)
	p.end(err == nil || !manifestRefused(err))
	return res, err
}

// checkPut checks the names of a push, and returns the digest of the manifest and its tags, each once.
func checkPut(repo string, content []byte, o *registry.PutOptions) (digest.Digest, []string, error) {
	if err := registry.CheckName(repo); err != nil {
		return "", nil, err
	}
	d := o.Digest
	if d == "" {
		d = digest.FromBytes(content)
	}
	if err := registry.CheckDigest(d); err != nil {
		return "", nil, err
	}
	var tags []string
	for _, t := range o.Tags {
		if err := registry.CheckTag(t.Name); err != nil {
			return "", nil, err
		}
		tags = append(tags, t.Name)
	}
	slices.Sort(tags)
	return d, slices.Compact(tags), nil
}

// manifestRefused reports whether err says that a manifest was not stored. A push that loses a
// condition at the last moment may leave its manifest in the repository, so its error does not say it.
func manifestRefused(err error) bool {
	for _, e := range []*registry.Error{registry.ErrManifestInvalid, registry.ErrManifestTooLarge,
		registry.ErrManifestBlobUnknown, registry.ErrDigestInvalid} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// MountBlob implements [registry.Writer]. A blob of another repository of the same prefix costs
// nothing. The quota looks at a repository only after MountOptions.Allow has permitted that.
func (q *Quotas) MountBlob(ctx context.Context, repo string, d digest.Digest,
	opts *registry.MountOptions) (ocispec.Descriptor, error) {
	a := q.of(repo)
	if a == nil {
		return q.next.MountBlob(ctx, repo, d, opts)
	}
	if err := registry.CheckName(repo); err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := registry.CheckDigest(d); err != nil {
		return ocispec.Descriptor{}, err
	}
	m := &mount{a: a, repo: repo, digest: d, id: newPushID(), opts: options.Value(opts)}
	o := m.opts
	o.Allow = func(from string) error { return m.allow(ctx, from) }
	desc, err := q.next.MountBlob(ctx, repo, d, &o)
	if err != nil {
		m.push.end(!errors.Is(err, registry.ErrBlobUnknown))
		if m.refusal != nil {
			err = m.refusal
		}
		return ocispec.Descriptor{}, err
	}
	m.push.end(true)
	if m.push == nil { // the Backend has not asked, so the blob counts without a check
		a.end(m.id, claim{charged: Amounts{Bytes: desc.Size}.only(a.counts)}, true)
	}
	return desc, nil
}

// mount is one call of MountBlob.
type mount struct {
	a       *account
	repo    string
	digest  digest.Digest
	id      string
	opts    registry.MountOptions
	push    *push
	refusal error
}

// allow decides about a repository that may be the source. Once one has the blob, the mount is held.
func (m *mount) allow(ctx context.Context, from string) error {
	if m.opts.Allow != nil {
		if err := m.opts.Allow(from); err != nil {
			return err
		}
	}
	if m.refusal != nil || m.push != nil {
		return m.refusal
	}
	p, err := m.a.admit(ctx, m.id, func(ctx context.Context, c *claim) error {
		desc, err := m.a.q.store.StatBlob(ctx, from, m.digest, nil)
		if errors.Is(err, registry.ErrBlobUnknown) {
			return err
		}
		if err != nil {
			return unavailable(m.a.prefix, err)
		}
		return m.a.claimBlob(ctx, c, m.repo, m.digest, desc.Size, from)
	})
	switch {
	case errors.Is(err, registry.ErrBlobUnknown):
		return nil // the next Backend finds that out, too
	case err != nil:
		m.refusal = err
		return err
	}
	m.push = p
	return nil
}

// Restore implements [registry.Restorer]. What comes back is admitted like a push: each manifest with
// the blobs that it names, before it comes back, and each tag before it is set.
func (q *Quotas) Restore(ctx context.Context, repo string, ref reference.Ref,
	opts *registry.RestoreOptions) (registry.RestoreResult, error) {
	a := q.of(repo)
	if a == nil {
		return q.next.Restore(ctx, repo, ref, opts)
	}
	if err := registry.CheckName(repo); err != nil {
		return registry.RestoreResult{}, err
	}
	r := &restore{a: a, repo: repo, opts: options.Value(opts)}
	o := r.opts
	o.Admit, o.SetTag = r.admit, func(t *registry.TagPut) error { return r.setTag(ctx, t) }
	res, err := q.next.Restore(ctx, repo, ref, &o)
	for _, p := range r.pushes {
		p.end(true) // some of it may be back, also after an error
	}
	a.noteDelete() // the next count is exact
	if r.refusal != nil && err != nil {
		err = r.refusal
	}
	return res, err
}

// restore is one call of Restore.
type restore struct {
	a       *account
	repo    string
	opts    registry.RestoreOptions
	pushes  []*push
	refusal error
}

// admit admits a manifest that is about to come back, with the blobs that it names.
func (r *restore) admit(ctx context.Context, manifest ocispec.Descriptor, blobs []ocispec.Descriptor) error {
	if r.opts.Admit != nil {
		if err := r.opts.Admit(ctx, manifest, blobs); err != nil {
			return err
		}
	}
	return r.hold(ctx, func(ctx context.Context, c *claim) error {
		if err := r.a.claimManifest(ctx, c, r.repo, manifest.Digest, manifest.Size, nil); err != nil {
			return err
		}
		for _, b := range blobs {
			if err := r.a.claimBlob(ctx, c, r.repo, b.Digest, b.Size, ""); err != nil {
				return err
			}
		}
		return nil
	})
}

// setTag admits a tag that is about to be set.
func (r *restore) setTag(ctx context.Context, t *registry.TagPut) error {
	if r.opts.SetTag != nil {
		if err := r.opts.SetTag(t); err != nil {
			return err
		}
	}
	return r.hold(ctx, func(ctx context.Context, c *claim) error {
		return r.a.claimTag(ctx, c, r.repo, t.Name)
	})
}

func (r *restore) hold(ctx context.Context, plan func(context.Context, *claim) error) error {
	p, err := r.a.admit(ctx, newPushID(), plan)
	if err != nil {
		r.refusal = err
		return err
	}
	r.pushes = append(r.pushes, p)
	return nil
}
