package quota

import (
	"context"
	"iter"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

// Reads and deletes pass to the next Backend. They are written out instead of embedding it, so that an
// operation added to Backend later is unsupported here until a maintainer has decided whether it counts.

// OpenBlob implements [registry.Reader].
func (q *Quotas) OpenBlob(ctx context.Context, repo string, d digest.Digest,
	opts *registry.OpenOptions) (*registry.Blob, error) {
	return q.next.OpenBlob(ctx, repo, d, opts)
}

// StatBlob implements [registry.Reader].
func (q *Quotas) StatBlob(ctx context.Context, repo string, d digest.Digest,
	opts *registry.StatOptions) (ocispec.Descriptor, error) {
	return q.next.StatBlob(ctx, repo, d, opts)
}

// GetManifest implements [registry.Reader].
func (q *Quotas) GetManifest(ctx context.Context, repo string, ref reference.Ref) (*registry.Manifest, error) {
	return q.next.GetManifest(ctx, repo, ref)
}

// StatManifest implements [registry.Reader].
func (q *Quotas) StatManifest(ctx context.Context, repo string, ref reference.Ref,
	opts *registry.StatOptions) (ocispec.Descriptor, error) {
	return q.next.StatManifest(ctx, repo, ref, opts)
}

// DeleteBlob implements [registry.Deleter]. Run counts the prefix soon after a delete.
func (q *Quotas) DeleteBlob(ctx context.Context, repo string, d digest.Digest, opts *registry.DeleteOptions) error {
	return q.deleted(repo, q.next.DeleteBlob(ctx, repo, d, opts))
}

// DeleteManifest implements [registry.Deleter]. Run counts the prefix soon after a delete.
func (q *Quotas) DeleteManifest(ctx context.Context, repo string, ref reference.Ref,
	opts *registry.DeleteOptions) error {
	return q.deleted(repo, q.next.DeleteManifest(ctx, repo, ref, opts))
}

// DeleteRepository implements [registry.Deleter]. Run counts the prefix soon after a delete.
func (q *Quotas) DeleteRepository(ctx context.Context, repo string, opts *registry.DeleteOptions) error {
	return q.deleted(repo, q.next.DeleteRepository(ctx, repo, opts))
}

// deleted notes a delete that has ended with err, and returns err.
func (q *Quotas) deleted(repo string, err error) error {
	if err == nil {
		if a := q.of(repo); a != nil {
			a.noteDelete()
		}
	}
	return err
}

// Repositories implements [registry.Lister].
func (q *Quotas) Repositories(ctx context.Context, opts *registry.ListOptions) iter.Seq2[string, error] {
	return q.next.Repositories(ctx, opts)
}

// Tags implements [registry.Lister].
func (q *Quotas) Tags(ctx context.Context, repo string, opts *registry.ListOptions) iter.Seq2[string, error] {
	return q.next.Tags(ctx, repo, opts)
}

// Referrers implements [registry.Lister].
func (q *Quotas) Referrers(ctx context.Context, repo string, d digest.Digest,
	opts *registry.ReferrersOptions) iter.Seq2[ocispec.Descriptor, error] {
	return q.next.Referrers(ctx, repo, d, opts)
}

// History implements [registry.Restorer].
func (q *Quotas) History(ctx context.Context, repo string,
	opts *registry.HistoryOptions) iter.Seq2[registry.HistoryEntry, error] {
	return q.next.History(ctx, repo, opts)
}
