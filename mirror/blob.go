package mirror

import (
	"context"
	"errors"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/mirror/internal/fill"
	"github.com/registrykit/registry/reference"
)

// OpenBlob implements [registry.Reader]. A blob that the store does not have is fetched while the
// client reads it.
//
// Errors: registry.ErrBlobUnknown, ErrDenied, ErrUnauthorized, ErrTooManyRequests and
// ErrUnavailable as the documentation of outages says.
func (m *Mirror) OpenBlob(ctx context.Context, repo string, d digest.Digest,
	opts *registry.OpenOptions) (*registry.Blob, error) {
	p, err := m.route(ctx, repo)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return m.store.OpenBlob(ctx, repo, d, opts)
	}
	if err := m.permitBlob(ctx, p, d); err != nil {
		return nil, err
	}
	done := m.evictor.Reading(p.repo, d)
	blob, err := m.openBlob(ctx, p, d, opts)
	if err != nil {
		done()
		return nil, err
	}
	m.count.served.Add(servedBytes(blob.Descriptor.Size, opts))
	return untilClosed(blob, done), nil
}

// servedBytes returns the number of bytes that a client has asked for.
func servedBytes(size int64, opts *registry.OpenOptions) int64 {
	if opts == nil || opts.Range == nil {
		return size
	}
	r := opts.Range
	rest := size - max(r.First, 0)
	if r.Length >= 0 {
		rest = min(rest, r.Length)
	}
	return max(rest, 0)
}

// StatBlob implements [registry.Reader]. The size comes from the store, from a manifest of the
// repository, or by a HEAD at the upstream, in this order.
//
// Errors: as OpenBlob.
func (m *Mirror) StatBlob(ctx context.Context, repo string, d digest.Digest,
	opts *registry.StatOptions) (ocispec.Descriptor, error) {
	p, err := m.route(ctx, repo)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if p == nil {
		return m.store.StatBlob(ctx, repo, d, opts)
	}
	if err := m.permitBlob(ctx, p, d); err != nil {
		return ocispec.Descriptor{}, err
	}
	desc, err := m.store.StatBlob(ctx, p.repo, d, nil)
	if errors.Is(err, registry.ErrBlobUnknown) {
		if err := m.mayAskBlob(ctx, p, d); err != nil {
			return ocispec.Descriptor{}, err
		}
		desc, err = m.statUpstream(ctx, p, d)
	}
	if err == nil {
		err = p.origin.rules.size(desc.Size)
	}
	return desc, err
}

// statUpstream returns the descriptor of a blob that the store does not have.
func (m *Mirror) statUpstream(ctx context.Context, p *pull, d digest.Digest) (ocispec.Descriptor, error) {
	if size := m.sizeOf(p, d); size >= 0 {
		return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: size}, nil
	}
	return m.stats.do(ctx, p.flight(string(d)+" blob"), 0, func(func()) (ocispec.Descriptor, error) {
		ctx, cancel := detached()
		defer cancel()
		desc, err := p.remote().StatBlob(ctx, p.name, d)
		if err != nil {
			return desc, m.contentFailed(p, blobRef(d), registry.ErrBlobUnknown, err)
		}
		return desc, nil
	})
}

// permitBlob returns an error unless the rules allow a blob, the caller may pull it, and, with
// Options.Admit, an admitted manifest of the repository names it.
func (m *Mirror) permitBlob(ctx context.Context, p *pull, d digest.Digest) error {
	if err := registry.CheckDigest(d); err != nil {
		return err
	}
	if err := p.origin.rules.permit(p.name, ""); err != nil {
		return err
	}
	if err := m.prove(ctx, p, reference.Ref{Digest: d}, true); err != nil {
		return err
	}
	if m.opts.Admit == nil || p.exempt != nil {
		return nil
	}
	ok, err := m.belongs(ctx, p, d)
	if err == nil && !ok {
		return errNotAdmitted
	}
	return err
}

var errNotAdmitted = registry.ErrDenied.WithMessage("no admitted image of the repository has this blob; pull its " +
	"manifest first")

// mayAskBlob returns an error if the upstream must not be asked for a blob.
func (m *Mirror) mayAskBlob(ctx context.Context, p *pull, d digest.Digest) error {
	if err := m.mayAsk(ctx, p, registry.ErrBlobUnknown); err != nil {
		return err
	}
	if m.missing.has(p, blobRef(d)) {
		return registry.ErrBlobUnknown
	}
	return nil
}

// openBlob returns a blob from the store, from another repository of the same upstream, or from the
// upstream.
func (m *Mirror) openBlob(ctx context.Context, p *pull, d digest.Digest, opts *registry.OpenOptions) (*registry.Blob,
	error) {
	blob, err := m.store.OpenBlob(ctx, p.repo, d, opts)
	if errors.Is(err, registry.ErrBlobUnknown) {
		return m.openUpstream(ctx, p, d, opts)
	}
	if err != nil {
		return nil, err
	}
	m.count.hits.Add(1)
	if err := p.origin.rules.size(blob.Descriptor.Size); err != nil {
		if blob.Body != nil {
			err = errors.Join(err, blob.Body.Close())
		}
		return nil, err
	}
	return blob, nil
}

// openUpstream is openBlob for a blob that the repository of the store does not have.
func (m *Mirror) openUpstream(ctx context.Context, p *pull, d digest.Digest,
	opts *registry.OpenOptions) (*registry.Blob, error) {
	if err := m.mayAskBlob(ctx, p, d); err != nil {
		return nil, err
	}
	size := m.sizeOf(p, d)
	if size < 0 && p.origin.rules.maxBlob > 0 {
		desc, err := m.statUpstream(ctx, p, d)
		if err != nil {
			return nil, err
		}
		size = desc.Size
	}
	if err := p.origin.rules.size(size); err != nil {
		return nil, err
	}
	if m.sizeOf(p, d) >= 0 && m.mount(ctx, p, d) {
		if blob, err := m.store.OpenBlob(ctx, p.repo, d, opts); err == nil {
			m.count.hits.Add(1)
			return blob, nil
		}
	}
	m.count.misses.Add(1)
	r := &fill.Request{Repository: p.repo, Digest: d, Size: size, Source: p.remote().Blobs(p.name)}
	if opts != nil {
		r.Range = opts.Range
	}
	blob, err := m.fills.Open(ctx, r)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, m.contentFailed(p, blobRef(d), registry.ErrBlobUnknown, err)
	}
	return blob, nil
}

// mount links a blob from another repository of the same upstream. A manifest of this repository
// names the blob in a way that the upstream accepts only if it has the blob here, see named. With
// Upstream.PassThrough nothing is linked, because the caller may not be able to pull from the other
// repository.
//
// A blob is never linked from a repository of the store or of another upstream: what these have
// says nothing about this one.
func (m *Mirror) mount(ctx context.Context, p *pull, d digest.Digest) bool {
	if p.caller != nil {
		return false
	}
	below := p.origin.Prefix + "/"
	_, err := m.store.MountBlob(ctx, p.repo, d, &registry.MountOptions{
		Prefixes: []string{below},
		Allow: func(from string) error {
			if strings.HasPrefix(from, below) {
				return nil
			}
			return registry.ErrDenied
		},
	})
	return err == nil
}
