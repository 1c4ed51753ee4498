package registry

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/reference"
)

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
	if g.hasSink() {
		err = g.notify(ctx, putEvents(nil, notification.Push, repo, res)...)
	}
	return res, err
}

// overwrite adds a condition to t if the caller may not overwrite the tag, and adds the refused
// access to refused. Whether the tag exists is decided within the write. overwrite also clears
// TagPut.Time, because a caller must not choose it.
func (g *guard) overwrite(ctx context.Context, repo string, t *TagPut, refused *[]auth.Access) error {
	t.Time = time.Time{}
	access := auth.Access{Type: auth.TypeRepository, Name: repo, Action: auth.Overwrite, Tag: t.Name}
	err := g.allow(ctx, []auth.Access{access})
	if errors.Is(err, ErrDenied) || errors.Is(err, ErrUnauthorized) {
		t.IfAbsent = true
		*refused = append(*refused, access)
		return nil
	}
	return err
}

// tagExists returns err, the error of op. If that is ErrTagExists because an anonymous caller may
// not overwrite, it returns ErrUnauthorized instead: the caller may be allowed after a login.
func (g *guard) tagExists(err error, op *Op, refused []auth.Access) error {
	if len(refused) == 0 || !g.identity.Anonymous() || !errors.Is(err, ErrTagExists) {
		return err
	}
	return ErrUnauthorized.WithMessage("the tag exists, and overwriting it needs authentication").
		WithCause(&challenge{accesses: append(op.Access(), refused...), err: err})
}

func (g *guard) DeleteBlob(ctx context.Context, repo string, d digest.Digest, opts *DeleteOptions) error {
	op := &Op{Kind: OpDeleteBlob, Repository: repo, Ref: reference.Ref{Digest: d}}
	return g.remove(ctx, op, opts, func(o *DeleteOptions) error {
		o.IfUnused = o.IfUnused || g.r.opts.NoDelete.UsedBlobs
		return g.r.backend.DeleteBlob(ctx, repo, d, o)
	})
}

func (g *guard) DeleteManifest(ctx context.Context, repo string, ref reference.Ref, opts *DeleteOptions) error {
	return g.remove(ctx, deleteOp(repo, ref), opts,
		func(o *DeleteOptions) error { return g.r.backend.DeleteManifest(ctx, repo, ref, o) })
}

func (g *guard) DeleteRepository(ctx context.Context, repo string, opts *DeleteOptions) error {
	op := &Op{Kind: OpDeleteRepository, Repository: repo}
	return g.remove(ctx, op, opts,
		func(o *DeleteOptions) error { return g.r.backend.DeleteRepository(ctx, repo, o) })
}

// remove authorises a delete, calls it with the name of the identity in its options, and sends the
// event.
func (g *guard) remove(ctx context.Context, op *Op, opts *DeleteOptions, call func(*DeleteOptions) error) error {
	op.IfUnused = opts != nil && opts.IfUnused
	if err := g.authorize(ctx, op); err != nil {
		return err
	}
	if g.r.opts.NoDelete.forbids(op.Kind) {
		return ErrUnsupported.WithMessage("deletes of this kind are disabled")
	}
	o := options.Value(opts)
	o.By = g.identity.Name
	if !g.hasSink() {
		return call(&o)
	}
	event := deleteEvent(op)
	o.Deleted = onDeleted(&event, o.Deleted)
	if err := call(&o); err != nil {
		return err
	}
	return g.notify(ctx, event)
}

func (g *guard) Restore(ctx context.Context, repo string, ref reference.Ref, opts *RestoreOptions) (RestoreResult,
	error) {
	op := restoreOp(repo, ref)
	if err := g.authorize(ctx, op); err != nil {
		return RestoreResult{}, err
	}
	o := options.Value(opts)
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
	if err != nil {
		err = g.tagExists(err, op, refused)
	}
	// A restore that failed may have restored some of the manifests.
	if g.hasSink() && len(res.Manifests) > 0 {
		var events []notification.Event
		for _, m := range res.Manifests {
			events = putEvents(events, notification.Restore, repo, m)
		}
		if lost := g.notify(ctx, events...); err == nil {
			err = lost
		}
	}
	return res, err
}
