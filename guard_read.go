package registry

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/reference"
)

func (g *guard) OpenBlob(ctx context.Context, repo string, d digest.Digest, opts *OpenOptions) (*Blob, error) {
	op := &Op{Kind: OpOpenBlob, Repository: repo, Ref: reference.Ref{Digest: d}}
	if err := g.authorize(ctx, op); err != nil {
		return nil, err
	}
	b, err := g.r.backend.OpenBlob(ctx, repo, d, opts)
	if err != nil {
		return nil, err
	}
	if g.hasSink() {
		if err := g.notify(ctx, blobEvent(notification.Pull, repo, b.Descriptor)); err != nil {
			if b.Body != nil {
				err = errors.Join(err, b.Body.Close())
			}
			return nil, err
		}
	}
	return b, nil
}

func (g *guard) StatBlob(ctx context.Context, repo string, d digest.Digest, opts *StatOptions) (ocispec.Descriptor,
	error) {
	op := &Op{Kind: OpStatBlob, Repository: repo, Ref: reference.Ref{Digest: d}}
	if err := g.authorize(ctx, op); err != nil {
		return ocispec.Descriptor{}, err
	}
	return g.r.backend.StatBlob(ctx, repo, d, g.renew(repo, op.Ref, opts))
}

func (g *guard) GetManifest(ctx context.Context, repo string, ref reference.Ref) (*Manifest, error) {
	if err := g.authorize(ctx, &Op{Kind: OpGetManifest, Repository: repo, Ref: ref}); err != nil {
		return nil, err
	}
	m, err := g.r.backend.GetManifest(ctx, repo, ref)
	if err != nil {
		return nil, err
	}
	if g.hasSink() {
		if err := g.notify(ctx, pullEvent(repo, ref, m)); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (g *guard) StatManifest(ctx context.Context, repo string, ref reference.Ref,
	opts *StatOptions) (ocispec.Descriptor, error) {
	op := &Op{Kind: OpStatManifest, Repository: repo, Ref: ref}
	if err := g.authorize(ctx, op); err != nil {
		return ocispec.Descriptor{}, err
	}
	return g.r.backend.StatManifest(ctx, repo, ref, g.renew(repo, op.Ref, opts))
}

// renew returns options whose Renew also requires push access. It makes no audit record. The result
// is nil if opts renew nothing.
func (g *guard) renew(repo string, ref reference.Ref, opts *StatOptions) *StatOptions {
	switch {
	case opts == nil || opts.Renew == nil:
		return nil
	case g.r.opts.Authorizer == nil:
		return opts // every caller has push access
	}
	return &StatOptions{Renew: func(ctx context.Context) bool {
		seen, err := g.sees(ctx, &Op{Kind: OpRenew, Repository: repo, Ref: ref})
		return err == nil && seen && opts.Renew(ctx)
	}}
}
