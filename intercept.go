package registry

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/reference"
)

// Interceptor runs around every operation of a [Backend] and of its uploads. It calls next once and
// finds op.Result afterwards, or it returns an error without calling next. For a list, next is the
// whole iteration.
//
// An Interceptor must not change op. It is called by many goroutines at once. The error that it
// returns is the error of the operation: an [*Error] reaches the client, see [NewError].
type Interceptor func(ctx context.Context, op *Op, next func(context.Context) error) error

// Chain returns one interceptor that runs all of them. The first is the outermost.
func Chain(interceptors ...Interceptor) Interceptor {
	switch len(interceptors) {
	case 0:
		return func(ctx context.Context, _ *Op, next func(context.Context) error) error { return next(ctx) }
	case 1:
		return interceptors[0]
	}
	first, rest := interceptors[0], Chain(interceptors[1:]...)
	return func(ctx context.Context, op *Op, next func(context.Context) error) error {
		return first(ctx, op, func(ctx context.Context) error { return rest(ctx, op, next) })
	}
}

// Intercept returns a Backend that runs f around every operation of b. An operation that a later
// version adds to [Backend] returns ErrUnsupported until Intercept knows it, so no operation can
// bypass f.
func Intercept(b Backend, f Interceptor) Backend { return &intercepted{b: b, f: f} }

type intercepted struct {
	Unimplemented
	b Backend
	f Interceptor
}

func (i *intercepted) OpenBlob(ctx context.Context, repo string, d digest.Digest, opts *OpenOptions) (blob *Blob,
	err error) {
	op := &Op{Kind: OpOpenBlob, Repository: repo, Ref: reference.Ref{Digest: d}}
	err = i.f(ctx, op, func(ctx context.Context) error {
		if blob, err = i.b.OpenBlob(ctx, repo, d, opts); err == nil {
			op.Result = blob.Descriptor
		}
		return err
	})
	if err != nil {
		if blob != nil && blob.Body != nil {
			err = errors.Join(err, blob.Body.Close())
		}
		return nil, err
	}
	return blob, nil
}

func (i *intercepted) StatBlob(ctx context.Context, repo string, d digest.Digest,
	opts *StatOptions) (ocispec.Descriptor, error) {
	op := &Op{Kind: OpStatBlob, Repository: repo, Ref: reference.Ref{Digest: d}}
	return i.stat(ctx, op, func(ctx context.Context) (ocispec.Descriptor, error) {
		return i.b.StatBlob(ctx, repo, d, i.renew(op, opts))
	})
}

func (i *intercepted) GetManifest(ctx context.Context, repo string, ref reference.Ref) (m *Manifest, err error) {
	op := &Op{Kind: OpGetManifest, Repository: repo, Ref: ref}
	err = i.f(ctx, op, func(ctx context.Context) error {
		if m, err = i.b.GetManifest(ctx, repo, ref); err == nil {
			op.Result = m.Descriptor
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (i *intercepted) StatManifest(ctx context.Context, repo string, ref reference.Ref,
	opts *StatOptions) (ocispec.Descriptor, error) {
	op := &Op{Kind: OpStatManifest, Repository: repo, Ref: ref}
	return i.stat(ctx, op, func(ctx context.Context) (ocispec.Descriptor, error) {
		return i.b.StatManifest(ctx, repo, ref, i.renew(op, opts))
	})
}

// renew turns the renewal of existing content into an operation of its own.
func (i *intercepted) renew(of *Op, opts *StatOptions) *StatOptions {
	if opts == nil || opts.Renew == nil {
		return nil
	}
	return &StatOptions{Renew: func(ctx context.Context) bool {
		// The outer interceptors have allowed the Stat, so their answer comes before that of f.
		return opts.Renew(ctx) && i.f(ctx, &Op{Kind: OpRenew, Repository: of.Repository, Ref: of.Ref},
			func(context.Context) error { return nil }) == nil
	}}
}

func (i *intercepted) CreateUpload(ctx context.Context, repo string, opts *UploadOptions) (Upload, error) {
	op := &Op{Kind: OpCreateUpload, Repository: repo}
	return i.upload(ctx, op, func(ctx context.Context) (Upload, error) { return i.b.CreateUpload(ctx, repo, opts) })
}

func (i *intercepted) ResumeUpload(ctx context.Context, repo, id string, opts *ResumeOptions) (Upload, error) {
	op := &Op{Kind: OpResumeUpload, Repository: repo, UploadID: id}
	return i.upload(ctx, op, func(ctx context.Context) (Upload, error) { return i.b.ResumeUpload(ctx, repo, id, opts) })
}

func (i *intercepted) MountBlob(ctx context.Context, repo string, d digest.Digest,
	opts *MountOptions) (ocispec.Descriptor, error) {
	op := &Op{Kind: OpMountBlob, Repository: repo, Ref: reference.Ref{Digest: d}}
	if opts != nil {
		op.From = opts.From
	}
	return i.stat(ctx, op, func(ctx context.Context) (ocispec.Descriptor,
		error) {
		return i.b.MountBlob(ctx, repo, d, opts)
	})
}

func (i *intercepted) PutManifest(ctx context.Context, repo, mediaType string, content []byte,
	opts *PutOptions) (res PutResult, err error) {
	op := putOp(repo, opts)
	err = i.f(ctx, op, func(ctx context.Context) error {
		res, err = i.b.PutManifest(ctx, repo, mediaType, content, opts)
		op.Result = res.Descriptor
		return err
	})
	return res, err
}

// putOp returns the operation of a PutManifest with opts.
func putOp(repo string, opts *PutOptions) *Op {
	op := &Op{Kind: OpPutManifest, Repository: repo}
	if opts != nil {
		op.Ref.Digest, op.Tags, op.If = opts.Digest, opts.Tags, opts.If
	}
	return op
}

func (i *intercepted) DeleteBlob(ctx context.Context, repo string, d digest.Digest, opts *DeleteOptions) error {
	op := &Op{Kind: OpDeleteBlob, Repository: repo, Ref: reference.Ref{Digest: d}, If: opts.condition(),
		IfUnused: opts != nil && opts.IfUnused}
	return i.f(ctx, op, func(ctx context.Context) error { return i.b.DeleteBlob(ctx, repo, d, opts) })
}

func (i *intercepted) DeleteManifest(ctx context.Context, repo string, ref reference.Ref, opts *DeleteOptions) error {
	op := deleteOp(repo, ref)
	op.If, op.IfUnused = opts.condition(), opts != nil && opts.IfUnused
	return i.f(ctx, op, func(ctx context.Context) error { return i.b.DeleteManifest(ctx, repo, ref, opts) })
}

// deleteOp returns the operation of a DeleteManifest.
func deleteOp(repo string, ref reference.Ref) *Op {
	op := &Op{Kind: OpDeleteManifest, Repository: repo, Ref: ref}
	if ref.Tag != "" {
		op.Kind = OpDeleteTag
	}
	return op
}

func (i *intercepted) DeleteRepository(ctx context.Context, repo string, opts *DeleteOptions) error {
	op := &Op{Kind: OpDeleteRepository, Repository: repo, If: opts.condition()}
	return i.f(ctx, op, func(ctx context.Context) error { return i.b.DeleteRepository(ctx, repo, opts) })
}

// condition returns the condition of a delete. The receiver may be nil.
func (o *DeleteOptions) condition() *Condition {
	if o == nil {
		return nil
	}
	return o.If
}

func (i *intercepted) Repositories(ctx context.Context, opts *ListOptions) iter.Seq2[string, error] {
	return around(ctx, i.f, &Op{Kind: OpRepositories}, func(ctx context.Context) iter.Seq2[string, error] {
		return i.b.Repositories(ctx, opts)
	})
}

func (i *intercepted) Tags(ctx context.Context, repo string, opts *ListOptions) iter.Seq2[string, error] {
	return around(ctx, i.f, &Op{Kind: OpTags, Repository: repo}, func(ctx context.Context) iter.Seq2[string, error] {
		return i.b.Tags(ctx, repo, opts)
	})
}

func (i *intercepted) Referrers(ctx context.Context, repo string, d digest.Digest,
	opts *ReferrersOptions) iter.Seq2[ocispec.Descriptor, error] {
	op := &Op{Kind: OpReferrers, Repository: repo, Ref: reference.Ref{Digest: d}}
	return around(ctx, i.f, op, func(ctx context.Context) iter.Seq2[ocispec.Descriptor, error] {
		return i.b.Referrers(ctx, repo, d, opts)
	})
}

func (i *intercepted) History(ctx context.Context, repo string, opts *HistoryOptions) iter.Seq2[HistoryEntry, error] {
	return around(ctx, i.f, historyOp(repo, opts), func(ctx context.Context) iter.Seq2[HistoryEntry, error] {
		return i.b.History(ctx, repo, opts)
	})
}

// historyOp returns the operation of a History with opts.
func historyOp(repo string, opts *HistoryOptions) *Op {
	op := &Op{Kind: OpHistory, Repository: repo}
	if opts != nil {
		op.Ref.Tag = opts.Tag
	}
	return op
}

func (i *intercepted) Restore(ctx context.Context, repo string, ref reference.Ref,
	opts *RestoreOptions) (res RestoreResult, err error) {
	op := restoreOp(repo, ref)
	err = i.f(ctx, op, func(ctx context.Context) error {
		res, err = i.b.Restore(ctx, repo, ref, opts)
		if len(res.Manifests) > 0 {
			op.Result = res.Manifests[0].Descriptor
		}
		return err
	})
	return res, err
}

// restoreOp returns the operation of a Restore.
func restoreOp(repo string, ref reference.Ref) *Op {
	op := &Op{Kind: OpRestore, Repository: repo, Ref: ref}
	if ref.Tag != "" {
		op.Tags = []TagPut{{Name: ref.Tag}}
	}
	return op
}

// stat runs f around a call that returns a descriptor.
func (i *intercepted) stat(ctx context.Context, op *Op, call func(context.Context) (ocispec.Descriptor,
	error)) (ocispec.Descriptor, error) {
	err := i.f(ctx, op, func(ctx context.Context) (err error) {
		op.Result, err = call(ctx)
		return err
	})
	return op.Result, err
}

// around runs f around the whole iteration of a list.
func around[T any](ctx context.Context, f Interceptor, op *Op,
	list func(context.Context) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		stopped := false
		err := f(ctx, op, func(ctx context.Context) error {
			for v, err := range list(ctx) {
				if err != nil {
					return err
				}
				if stopped = !yield(v, nil); stopped {
					return nil
				}
			}
			return nil
		})
		if err != nil && !stopped {
			var zero T
			yield(zero, err)
		}
	}
}

// upload runs f around a call that returns an upload, and wraps the upload.
func (i *intercepted) upload(ctx context.Context, op *Op, call func(context.Context) (Upload, error)) (Upload, error) {
	var u Upload
	err := i.f(ctx, op, func(ctx context.Context) (err error) {
		u, err = call(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &interceptedUpload{u: u, repo: op.Repository, f: i.f}, nil
}

// interceptedUpload runs f around the methods of an upload. It does not embed Upload, so that it
// does not compile when Upload gets a method that is missing here.
type interceptedUpload struct {
	u    Upload
	repo string
	f    Interceptor
}

func (u *interceptedUpload) ID() string   { return u.u.ID() }
func (u *interceptedUpload) Name() string { return u.u.Name() }
func (u *interceptedUpload) Size() int64  { return u.u.Size() }

func (u *interceptedUpload) op(kind OpKind) *Op {
	return &Op{Kind: kind, Repository: u.repo, UploadID: u.ID()}
}

func (u *interceptedUpload) Append(ctx context.Context, offset, length int64, r io.Reader) (n int64, err error) {
	op := u.op(OpAppend)
	err = u.f(ctx, op, func(ctx context.Context) error {
		n, err = u.u.Append(ctx, offset, length, r)
		op.Result.Size = n
		return err
	})
	return n, err
}

func (u *interceptedUpload) Commit(ctx context.Context, d digest.Digest, last *Chunk,
	also ...digest.Digest) (ocispec.Descriptor, error) {
	op := u.op(OpCommit)
	op.Ref.Digest = d
	err := u.f(ctx, op, func(ctx context.Context) (err error) {
		op.Result, err = u.u.Commit(ctx, d, last, also...)
		return err
	})
	return op.Result, err
}

func (u *interceptedUpload) Cancel(ctx context.Context) error {
	return u.f(ctx, u.op(OpCancel), u.u.Cancel)
}
