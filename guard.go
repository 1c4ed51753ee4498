package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/reference"
)

// guard is the choke point: the registry as one identity sees it. Every operation, whether it comes
// by HTTP or from Go code, is checked, authorised, limited and told of here and nowhere else. It
// embeds nothing but Unimplemented, so what it does not know is refused.
type guard struct {
	Unimplemented
	r        *Registry
	identity auth.Identity
	request  *notification.Request // nil for calls in process
	granted  []auth.Access         // what this very request has been granted already
	asked    auth.Decision         // who asks from where: what decisions begin with
}

// authorize allows or refuses op. Names are checked first, so that an Authorizer never sees one
// that cannot be; existence is not looked at. Whether op names one manifest is checked last: a
// reference that no manifest can have is answered like an unknown one, which only callers that may
// read the repository learn.
func (g *guard) authorize(ctx context.Context, op *Op) error {
	if err := op.check(); err != nil {
		return err
	}
	if err := g.allow(ctx, op.Access()); err != nil {
		return err
	}
	return op.checkOneRef()
}

// allow asks the Authorizer for accesses that this request has not been granted yet.
func (g *guard) allow(ctx context.Context, accesses []auth.Access) error {
	for _, a := range accesses {
		if slices.Contains(g.granted, a) {
			continue
		}
		err := g.decide(ctx, accesses)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, auth.ErrScope), errors.Is(err, auth.ErrDenied) && g.identity.Anonymous():
			return ErrUnauthorized.WithCause(&challenge{accesses: accesses, err: err})
		case errors.Is(err, auth.ErrDenied):
			return ErrDenied.WithCause(err)
		}
		return authorizeFailed(err)
	}
	return nil
}

// authorizeFailed is the error for an Authorizer that does not know.
func authorizeFailed(err error) error {
	return ErrInternal.WithCause(fmt.Errorf("authorize: %w", err))
}

// challenge is the cause of an ErrUnauthorized: what the answer must ask credentials for.
type challenge struct {
	accesses []auth.Access
	err      error
}

func (c *challenge) Error() string { return c.err.Error() }
func (c *challenge) Unwrap() error { return c.err }

func (g *guard) OpenBlob(ctx context.Context, repo string, d digest.Digest, opts *OpenOptions) (*Blob, error) {
	op := &Op{Kind: OpOpenBlob, Repository: repo, Ref: reference.Ref{Digest: d}}
	if err := g.authorize(ctx, op); err != nil {
		return nil, err
	}
	b, err := g.r.backend.OpenBlob(ctx, repo, d, opts)
	if err != nil {
		return nil, err
	}
	g.notify(ctx, notification.Event{Action: notification.Pull, Repository: repo, Target: b.Descriptor})
	return b, nil
}

func (g *guard) StatBlob(ctx context.Context, repo string, d digest.Digest, opts *StatOptions) (ocispec.Descriptor,
	error) {
	op := &Op{Kind: OpStatBlob, Repository: repo, Ref: reference.Ref{Digest: d}}
	if err := g.authorize(ctx, op); err != nil {
		return ocispec.Descriptor{}, err
	}
	return g.r.backend.StatBlob(ctx, repo, d, g.renew(op, opts))
}

func (g *guard) GetManifest(ctx context.Context, repo string, ref reference.Ref) (*Manifest, error) {
	if err := g.authorize(ctx, &Op{Kind: OpGetManifest, Repository: repo, Ref: ref}); err != nil {
		return nil, err
	}
	m, err := g.r.backend.GetManifest(ctx, repo, ref)
	if err != nil {
		return nil, err
	}
	g.notify(ctx, notification.Event{Action: notification.Pull, Repository: repo, Target: m.Descriptor, Tags: tagsOf(ref)})
	return m, nil
}

func (g *guard) StatManifest(ctx context.Context, repo string, ref reference.Ref,
	opts *StatOptions) (ocispec.Descriptor, error) {
	op := &Op{Kind: OpStatManifest, Repository: repo, Ref: ref}
	if err := g.authorize(ctx, op); err != nil {
		return ocispec.Descriptor{}, err
	}
	return g.r.backend.StatManifest(ctx, repo, ref, g.renew(op, opts))
}

// renew makes options say no where the caller may not push. Nobody is told of the question.
func (g *guard) renew(op *Op, opts *StatOptions) *StatOptions {
	if opts == nil || opts.Renew == nil {
		return nil
	}
	return &StatOptions{Renew: func(ctx context.Context) bool {
		seen, err := g.sees(ctx, &Op{Kind: OpRenew, Repository: op.Repository, Ref: op.Ref})
		return err == nil && seen && opts.Renew(ctx)
	}}
}

func (g *guard) CreateUpload(ctx context.Context, repo string, opts *UploadOptions) (Upload, error) {
	if err := g.authorize(ctx, &Op{Kind: OpCreateUpload, Repository: repo}); err != nil {
		return nil, err
	}
	var o UploadOptions
	if opts != nil {
		o = *opts
	}
	o.Owner = g.identity.Name
	if limit := g.r.opts.MaxBlobSize; limit > 0 && o.Size > limit {
		return nil, ErrBlobTooLarge
	}
	return g.upload(repo)(g.r.backend.CreateUpload(ctx, repo, &o))
}

func (g *guard) ResumeUpload(ctx context.Context, repo, id string, opts *ResumeOptions) (Upload, error) {
	if err := g.authorize(ctx, &Op{Kind: OpResumeUpload, Repository: repo, UploadID: id}); err != nil {
		return nil, err
	}
	var o ResumeOptions
	if opts != nil {
		o = *opts
	}
	if o.Owner == "" {
		o.Owner = g.identity.Name
	}
	if o.Owner != g.identity.Name {
		return nil, ErrUploadUnknown
	}
	return g.upload(repo)(g.r.backend.ResumeUpload(ctx, repo, id, &o))
}

func (g *guard) MountBlob(ctx context.Context, repo string, d digest.Digest,
	opts *MountOptions) (desc ocispec.Descriptor, err error) {
	op := &Op{Kind: OpMountBlob, Repository: repo, Ref: reference.Ref{Digest: d}}
	var o MountOptions
	if opts != nil {
		o = *opts
	}
	op.From = o.From
	if err := g.authorize(ctx, op); err != nil {
		return ocispec.Descriptor{}, err
	}
	if o.From == "" && g.r.opts.Authorizer != nil {
		desc, err = g.searchMount(ctx, repo, d, o)
	} else {
		allow := o.Allow
		o.Allow = func(from string) error {
			if allow != nil {
				if err := allow(from); err != nil {
					return err
				}
			}
			return g.allow(ctx, (&Op{Kind: OpOpenBlob, Repository: from}).Access())
		}
		desc, err = g.r.backend.MountBlob(ctx, repo, d, &o)
	}
	if err != nil {
		return desc, err
	}
	g.notify(ctx, notification.Event{Action: notification.Mount, Repository: repo, Target: desc, From: o.From})
	return desc, nil
}

func (g *guard) PutManifest(ctx context.Context, repo, mediaType string, content []byte, opts *PutOptions) (PutResult,
	error) {
	op := putOp(repo, opts)
	if err := g.authorize(ctx, op); err != nil {
		return PutResult{}, err
	}
	if int64(len(content)) > g.r.opts.MaxManifestSize {
		return PutResult{}, ErrManifestTooLarge
	}
	if len(op.Tags) > MaxPushTags {
		return PutResult{}, errTooManyTags
	}
	var o PutOptions
	if opts != nil {
		o = *opts
		o.Tags = slices.Clone(o.Tags)
	}
	o.By = g.identity.Name
	var refused []auth.Access
	for i := range o.Tags {
		if err := g.overwrite(ctx, repo, &o.Tags[i], &refused); err != nil {
			return PutResult{}, err
		}
	}
	res, err := g.r.backend.PutManifest(ctx, repo, mediaType, content, &o)
	if err != nil {
		return res, g.tagExists(err, op, refused)
	}
	g.notify(ctx, notification.Event{Action: notification.Push, Repository: repo, Target: res.Descriptor, Tags: res.Tags})
	return res, nil
}

// overwrite lets only those point a tag elsewhere who may. Whether the tag exists is decided inside
// the write. It adds what is not allowed to refused.
func (g *guard) overwrite(ctx context.Context, repo string, t *TagPut, refused *[]auth.Access) error {
	access := auth.Access{Type: auth.TypeRepository, Name: repo, Action: auth.Overwrite, Tag: t.Name}
	err := g.allow(ctx, []auth.Access{access})
	if errors.Is(err, ErrDenied) || errors.Is(err, ErrUnauthorized) {
		t.IfAbsent = true
		*refused = append(*refused, access)
		return nil
	}
	return err
}

// tagExists returns err, with which op has failed. If that is ErrTagExists and an anonymous caller
// was refused to overwrite, it returns ErrUnauthorized instead: somebody who logs in may be
// allowed.
func (g *guard) tagExists(err error, op *Op, refused []auth.Access) error {
	if len(refused) == 0 || !g.identity.Anonymous() || !errors.Is(err, ErrTagExists) {
		return err
	}
	return ErrUnauthorized.WithMessage("the tag exists, and overwriting it needs authentication").
		WithCause(&challenge{accesses: append(op.Access(), refused...), err: err})
}

func (g *guard) DeleteBlob(ctx context.Context, repo string, d digest.Digest, opts *DeleteOptions) error {
	op := &Op{Kind: OpDeleteBlob, Repository: repo, Ref: reference.Ref{Digest: d}}
	o := g.deleting(opts)
	o.IfUnused = o.IfUnused || g.r.opts.NoDelete.UsedBlobs
	return g.remove(ctx, op, g.r.opts.NoDelete.Blobs, notification.Event{Target: ocispec.Descriptor{Digest: d}},
		func() error { return g.r.backend.DeleteBlob(ctx, repo, d, o) })
}

func (g *guard) DeleteManifest(ctx context.Context, repo string, ref reference.Ref, opts *DeleteOptions) error {
	off := g.r.opts.NoDelete.Manifests
	if ref.Tag != "" {
		off = g.r.opts.NoDelete.Tags
	}
	event := notification.Event{Target: ocispec.Descriptor{Digest: ref.Digest}, Tags: tagsOf(ref)}
	return g.remove(ctx, deleteOp(repo, ref), off, event,
		func() error { return g.r.backend.DeleteManifest(ctx, repo, ref, g.deleting(opts)) })
}

func (g *guard) DeleteRepository(ctx context.Context, repo string, opts *DeleteOptions) error {
	op := &Op{Kind: OpDeleteRepository, Repository: repo}
	return g.remove(ctx, op, g.r.opts.NoDelete.Repositories, notification.Event{},
		func() error { return g.r.backend.DeleteRepository(ctx, repo, g.deleting(opts)) })
}

// deleting returns opts with who deletes.
func (g *guard) deleting(opts *DeleteOptions) *DeleteOptions {
	var o DeleteOptions
	if opts != nil {
		o = *opts
	}
	o.By = g.identity.Name
	return &o
}

// remove is what all deletes have in common.
func (g *guard) remove(ctx context.Context, op *Op, off bool, event notification.Event, call func() error) error {
	if err := g.authorize(ctx, op); err != nil {
		return err
	}
	if off {
		return ErrUnsupported.WithMessage("deletes of this kind are switched off")
	}
	if err := call(); err != nil {
		return err
	}
	event.Action, event.Repository = notification.Delete, op.Repository
	g.notify(ctx, event)
	return nil
}

func (g *guard) Repositories(ctx context.Context, opts *ListOptions) iter.Seq2[string, error] {
	if err := g.authorize(ctx, &Op{Kind: OpRepositories}); err != nil {
		return failed[string](err)
	}
	return seen(g.scan(ctx, opts))
}

func (g *guard) Tags(ctx context.Context, repo string, opts *ListOptions) iter.Seq2[string, error] {
	if err := g.authorize(ctx, &Op{Kind: OpTags, Repository: repo}); err != nil {
		return failed[string](err)
	}
	return seen(g.scanTags(ctx, repo, opts))
}

func (g *guard) Referrers(ctx context.Context, repo string, d digest.Digest,
	opts *ReferrersOptions) iter.Seq2[ocispec.Descriptor, error] {
	op := &Op{Kind: OpReferrers, Repository: repo, Ref: reference.Ref{Digest: d}}
	if err := g.authorize(ctx, op); err != nil {
		return failed[ocispec.Descriptor](err)
	}
	return g.r.backend.Referrers(ctx, repo, d, opts)
}

// History tells who did what only to those who may push.
func (g *guard) History(ctx context.Context, repo string, opts *HistoryOptions) iter.Seq2[HistoryEntry, error] {
	op := historyOp(repo, opts)
	if err := g.authorize(ctx, op); err != nil {
		return failed[HistoryEntry](err)
	}
	names := true
	err := g.allow(ctx, []auth.Access{{Type: auth.TypeRepository, Name: repo, Action: auth.Push, Tag: op.Ref.Tag}})
	if errors.Is(err, ErrDenied) || errors.Is(err, ErrUnauthorized) {
		names, err = false, nil
	}
	if err != nil {
		return failed[HistoryEntry](err)
	}
	return func(yield func(HistoryEntry, error) bool) {
		for e, err := range g.r.backend.History(ctx, repo, opts) {
			if !names {
				e.By = ""
			}
			seen := true
			if err == nil {
				seen, err = g.seesEntry(ctx, repo, &e)
			}
			if (seen || err != nil) && !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func (g *guard) Restore(ctx context.Context, repo string, ref reference.Ref, opts *RestoreOptions) (RestoreResult,
	error) {
	op := restoreOp(repo, ref)
	if err := g.authorize(ctx, op); err != nil {
		return RestoreResult{}, err
	}
	var o RestoreOptions
	if opts != nil {
		o = *opts
	}
	if o.To != "" {
		if err := CheckDigest(o.To); err != nil {
			return RestoreResult{}, err
		}
	}
	o.By = g.identity.Name
	setTag, refused := o.SetTag, []auth.Access(nil)
	o.SetTag = func(t *TagPut) error {
		if setTag != nil {
			if err := setTag(t); err != nil {
				return err
			}
		}
		if err := g.authorize(ctx, restoreOp(repo, reference.Ref{Tag: t.Name})); err != nil {
			return err
		}
		return g.overwrite(ctx, repo, t, &refused)
	}
	res, err := g.r.backend.Restore(ctx, repo, ref, &o)
	for _, m := range res.Manifests {
		g.notify(ctx, notification.Event{Action: notification.Push, Repository: repo, Target: m.Descriptor, Tags: m.Tags})
	}
	return res, g.tagExists(err, op, refused)
}

// upload puts an upload of the backend behind the guard.
func (g *guard) upload(repo string) func(Upload, error) (Upload, error) {
	return func(u Upload, err error) (Upload, error) {
		if err != nil {
			return nil, err
		}
		return &guardedUpload{u: u, g: g, repo: repo}, nil
	}
}

type guardedUpload struct {
	u    Upload
	g    *guard
	repo string
}

func (u *guardedUpload) ID() string   { return u.u.ID() }
func (u *guardedUpload) Name() string { return u.u.Name() }
func (u *guardedUpload) Size() int64  { return u.u.Size() }

func (u *guardedUpload) Append(ctx context.Context, offset, length int64, r io.Reader) (int64, error) {
	if err := u.g.authorize(ctx, &Op{Kind: OpAppend, Repository: u.repo}); err != nil {
		return 0, err
	}
	c, err := u.limit(&Chunk{Offset: offset, Length: length, Body: r})
	if err != nil {
		return 0, err
	}
	return u.u.Append(ctx, c.Offset, c.Length, c.Body)
}

// limit sees to it that the blob does not become larger than Options.MaxBlobSize.
func (u *guardedUpload) limit(c *Chunk) (*Chunk, error) {
	limit := u.g.r.opts.MaxBlobSize
	if limit == 0 || c == nil {
		return c, nil
	}
	room := limit - u.u.Size()
	if c.Length > room {
		return nil, ErrBlobTooLarge
	}
	return &Chunk{Offset: c.Offset, Length: c.Length, Body: &limitReader{r: c.Body, room: room}}, nil
}

func (u *guardedUpload) Commit(ctx context.Context, d digest.Digest, last *Chunk,
	also ...digest.Digest) (ocispec.Descriptor, error) {
	op := &Op{Kind: OpCommit, Repository: u.repo, Ref: reference.Ref{Digest: d}}
	if err := u.g.authorize(ctx, op); err != nil {
		return ocispec.Descriptor{}, err
	}
	last, err := u.limit(last)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc, err := u.u.Commit(ctx, d, last, also...)
	if err != nil {
		return desc, err
	}
	u.g.notify(ctx, notification.Event{Action: notification.Push, Repository: u.repo, Target: desc})
	return desc, nil
}

func (u *guardedUpload) Cancel(ctx context.Context) error {
	if err := u.g.authorize(ctx, &Op{Kind: OpCancel, Repository: u.repo}); err != nil {
		return err
	}
	return u.u.Cancel(ctx)
}

// limitReader fails with ErrBlobTooLarge when there is more than room bytes.
type limitReader struct {
	r    io.Reader
	room int64
}

func (l *limitReader) Read(p []byte) (int, error) {
	if int64(len(p)) > l.room+1 {
		p = p[:l.room+1]
	}
	n, err := l.r.Read(p)
	if int64(n) > l.room {
		n, err = int(l.room), ErrBlobTooLarge
	}
	l.room -= int64(n)
	return n, err
}
