package filter

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/reference"
)

// ImmutableOptions are the options of [Immutable].
type ImmutableOptions struct {
	// Protects returns a function that reports whether a tag of repo is immutable. It returns nil
	// if no tag of repo is. The result must depend only on the names. Package glob makes Protects
	// from patterns. Default: all tags of all repositories are immutable.
	Protects func(repo string) (protected func(tag string) bool)
}

// Immutable returns b with tags that can be set only once. A protected tag can be created, and set
// again to the manifest that it already points at. It can be neither moved nor deleted, also not by
// a restore. What it reaches cannot be deleted either: its manifest, the children of an index,
// their blobs, and the repository.
//
// The subject of a manifest is not protected. A manifest is complete without its subject. Otherwise
// a caller with push access to a protected tag could keep any manifest of the repository from being
// deleted.
//
// b enforces the protection within its writes and deletes, by the conditions of [registry.TagPut]
// and [registry.DeleteOptions]. So it holds for any number of replicas, if each has this filter
// with the same options. A Backend without these conditions, such as a client, returns
// ErrUnsupported.
//
// Moving a protected tag returns ErrTagExists. Deleting protected content returns ErrDenied. Both
// errors name the tag. If b is nil, every operation returns ErrUnsupported.
func Immutable(b registry.Backend, opts *ImmutableOptions) registry.Backend {
	i := &immutable{b: orNone(b), protects: func(string) func(string) bool { return func(string) bool { return true } }}
	if opts != nil && opts.Protects != nil {
		i.protects = opts.Protects
	}
	return i
}

type immutable struct {
	registry.Unimplemented
	b        registry.Backend
	protects func(repo string) func(tag string) bool
}

// protect adds the conditions for a tag if it is protected.
func protect(t *registry.TagPut, protected func(string) bool) {
	if protected != nil && protected(t.Name) {
		t.IfAbsent, t.Keep = true, true
	}
}

// deleting returns opts with a condition that keeps the protected tags.
func (i *immutable) deleting(repo string, opts *registry.DeleteOptions) *registry.DeleteOptions {
	protected := i.protects(repo)
	if protected == nil {
		return opts
	}
	o := options.Value(opts)
	keep := o.Keep
	o.Keep = func(tag string) bool { return protected(tag) || keep != nil && keep(tag) }
	return &o
}

// PutManifest implements [registry.Writer].
func (i *immutable) PutManifest(ctx context.Context, repo, mediaType string, content []byte,
	opts *registry.PutOptions) (registry.PutResult, error) {
	o := options.Value(opts)
	protected := i.protects(repo)
	o.Tags = slices.Clone(o.Tags)
	for n := range o.Tags {
		protect(&o.Tags[n], protected)
	}
	res, err := i.b.PutManifest(ctx, repo, mediaType, content, &o)
	return res, explain(err)
}

// explain adds to ErrTagExists that the tag is immutable.
func explain(err error) error {
	var e *registry.Error
	if !errors.Is(err, registry.ErrTagExists) || !errors.As(err, &e) {
		return err
	}
	if detail, ok := e.Detail().(map[string]string); ok && detail["tag"] != "" {
		return e.WithMessage("the tag " + detail["tag"] + " is immutable and points at another manifest")
	}
	return err
}

// DeleteBlob implements [registry.Deleter].
func (i *immutable) DeleteBlob(ctx context.Context, repo string, d digest.Digest, opts *registry.DeleteOptions) error {
	return i.b.DeleteBlob(ctx, repo, d, i.deleting(repo, opts))
}

// DeleteManifest implements [registry.Deleter]. For a tag, its name alone decides.
func (i *immutable) DeleteManifest(ctx context.Context, repo string, ref reference.Ref,
	opts *registry.DeleteOptions) error {
	if ref.Tag == "" {
		return i.b.DeleteManifest(ctx, repo, ref, i.deleting(repo, opts))
	}
	if protected := i.protects(repo); protected != nil && protected(ref.Tag) {
		return registry.ErrDenied.WithMessage("the tag " + ref.Tag +
			" is immutable").WithDetail(map[string]string{"tag": ref.Tag})
	}
	return i.b.DeleteManifest(ctx, repo, ref, opts)
}

// DeleteRepository implements [registry.Deleter].
func (i *immutable) DeleteRepository(ctx context.Context, repo string, opts *registry.DeleteOptions) error {
	return i.b.DeleteRepository(ctx, repo, i.deleting(repo, opts))
}

// Restore implements [registry.Restorer].
func (i *immutable) Restore(ctx context.Context, repo string, ref reference.Ref,
	opts *registry.RestoreOptions) (registry.RestoreResult, error) {
	protected := i.protects(repo)
	o := options.Value(opts)
	setTag := o.SetTag
	o.SetTag = func(t *registry.TagPut) error {
		if setTag != nil {
			if err := setTag(t); err != nil {
				return err
			}
		}
		protect(t, protected)
		return nil
	}
	res, err := i.b.Restore(ctx, repo, ref, &o)
	return res, explain(err)
}

// The other operations pass to b. They are written out instead of embedding b, so that an operation
// added to Backend later is unsupported here until a maintainer has decided about it.

func (i *immutable) OpenBlob(ctx context.Context, repo string, d digest.Digest,
	opts *registry.OpenOptions) (*registry.Blob, error) {
	return i.b.OpenBlob(ctx, repo, d, opts)
}

func (i *immutable) StatBlob(ctx context.Context, repo string, d digest.Digest,
	opts *registry.StatOptions) (ocispec.Descriptor, error) {
	return i.b.StatBlob(ctx, repo, d, opts)
}

func (i *immutable) GetManifest(ctx context.Context, repo string, ref reference.Ref) (*registry.Manifest, error) {
	return i.b.GetManifest(ctx, repo, ref)
}

func (i *immutable) StatManifest(ctx context.Context, repo string, ref reference.Ref,
	opts *registry.StatOptions) (ocispec.Descriptor, error) {
	return i.b.StatManifest(ctx, repo, ref, opts)
}

func (i *immutable) CreateUpload(ctx context.Context, repo string, opts *registry.UploadOptions) (registry.Upload,
	error) {
	return i.b.CreateUpload(ctx, repo, opts)
}

func (i *immutable) ResumeUpload(ctx context.Context, repo, id string, opts *registry.ResumeOptions) (registry.Upload,
	error) {
	return i.b.ResumeUpload(ctx, repo, id, opts)
}

func (i *immutable) MountBlob(ctx context.Context, repo string, d digest.Digest,
	opts *registry.MountOptions) (ocispec.Descriptor, error) {
	return i.b.MountBlob(ctx, repo, d, opts)
}

func (i *immutable) Repositories(ctx context.Context, opts *registry.ListOptions) iter.Seq2[string, error] {
	return i.b.Repositories(ctx, opts)
}

func (i *immutable) Tags(ctx context.Context, repo string, opts *registry.ListOptions) iter.Seq2[string, error] {
	return i.b.Tags(ctx, repo, opts)
}

func (i *immutable) Referrers(ctx context.Context, repo string, d digest.Digest,
	opts *registry.ReferrersOptions) iter.Seq2[ocispec.Descriptor, error] {
	return i.b.Referrers(ctx, repo, d, opts)
}

func (i *immutable) History(ctx context.Context, repo string,
	opts *registry.HistoryOptions) iter.Seq2[registry.HistoryEntry, error] {
	return i.b.History(ctx, repo, opts)
}
