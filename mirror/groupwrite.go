package mirror

import (
	"context"
	"iter"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/reference"
)

// writable reports whether a repository is written to, and read from, the member for writes.
func (g *Group) writable(repo string) bool {
	return g.write != nil && slices.Contains(g.of(repo), g.write)
}

// writeTo returns the member that changes of a repository go to.
//
// Errors: registry.ErrNameInvalid, ErrDenied.
func (g *Group) writeTo(repo string) (registry.Backend, error) {
	if err := registry.CheckName(repo); err != nil {
		return nil, err
	}
	if !g.writable(repo) {
		return nil, registry.ErrDenied.WithMessage("the repository is read-only")
	}
	return g.write.Backend, nil
}

// CreateUpload implements [registry.Writer].
func (g *Group) CreateUpload(ctx context.Context, repo string, opts *registry.UploadOptions) (registry.Upload, error) {
	b, err := g.writeTo(repo)
	if err != nil {
		return nil, err
	}
	return b.CreateUpload(ctx, repo, opts)
}

// ResumeUpload implements [registry.Writer].
func (g *Group) ResumeUpload(ctx context.Context, repo, id string, opts *registry.ResumeOptions) (registry.Upload,
	error) {
	b, err := g.writeTo(repo)
	if err != nil {
		return nil, err
	}
	return b.ResumeUpload(ctx, repo, id, opts)
}

// MountBlob implements [registry.Writer]. The source must be read from the member for writes, too.
func (g *Group) MountBlob(ctx context.Context, repo string, d digest.Digest,
	opts *registry.MountOptions) (ocispec.Descriptor, error) {
	b, err := g.writeTo(repo)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	o := options.Value(opts)
	if len(g.members) == 1 && g.write.rest {
		return b.MountBlob(ctx, repo, d, opts) // every source is visible
	}
	if o.From != "" {
		if err := registry.CheckName(o.From); err != nil {
			return ocispec.Descriptor{}, err
		}
		if !g.writable(o.From) {
			return ocispec.Descriptor{}, registry.ErrBlobUnknown
		}
		return b.MountBlob(ctx, repo, d, opts)
	}
	allow := o.Allow
	o.Allow = func(from string) error {
		switch {
		case !g.writable(from):
			return registry.ErrDenied
		case allow != nil:
			return allow(from)
		}
		return nil
	}
	return b.MountBlob(ctx, repo, d, &o)
}

// PutManifest implements [registry.Writer].
func (g *Group) PutManifest(ctx context.Context, repo, mediaType string, content []byte,
	opts *registry.PutOptions) (registry.PutResult, error) {
	b, err := g.writeTo(repo)
	if err != nil {
		return registry.PutResult{}, err
	}
	return b.PutManifest(ctx, repo, mediaType, content, opts)
}

// DeleteBlob implements [registry.Deleter]. A blob of another member than that for writes stays.
func (g *Group) DeleteBlob(ctx context.Context, repo string, d digest.Digest, opts *registry.DeleteOptions) error {
	b, err := g.writeTo(repo)
	if err != nil {
		return err
	}
	return b.DeleteBlob(ctx, repo, d, opts)
}

// DeleteManifest implements [registry.Deleter]. A manifest or tag of another member than that for
// writes stays, and can be read afterwards.
func (g *Group) DeleteManifest(ctx context.Context, repo string, ref reference.Ref,
	opts *registry.DeleteOptions) error {
	b, err := g.writeTo(repo)
	if err != nil {
		return err
	}
	return b.DeleteManifest(ctx, repo, ref, opts)
}

// DeleteRepository implements [registry.Deleter]. The content of other members than that for writes
// stays.
func (g *Group) DeleteRepository(ctx context.Context, repo string, opts *registry.DeleteOptions) error {
	b, err := g.writeTo(repo)
	if err != nil {
		return err
	}
	return b.DeleteRepository(ctx, repo, opts)
}

// History implements [registry.Restorer] with the history of the member for writes.
func (g *Group) History(ctx context.Context, repo string,
	opts *registry.HistoryOptions) iter.Seq2[registry.HistoryEntry, error] {
	return func(yield func(registry.HistoryEntry, error) bool) {
		b, err := g.writeTo(repo)
		if err != nil {
			yield(registry.HistoryEntry{}, err)
			return
		}
		b.History(ctx, repo, opts)(yield)
	}
}

// Restore implements [registry.Restorer] with the history of the member for writes.
func (g *Group) Restore(ctx context.Context, repo string, ref reference.Ref,
	opts *registry.RestoreOptions) (registry.RestoreResult, error) {
	b, err := g.writeTo(repo)
	if err != nil {
		return registry.RestoreResult{}, err
	}
	return b.Restore(ctx, repo, ref, opts)
}
