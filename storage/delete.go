package storage

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// DeleteBlob implements [registry.Deleter]. The bytes stay until they are collected, because other
// repositories may share them. A manifest that names the blob prevents the delete only with
// DeleteOptions.IfUnused: such a delete reads all manifests of the repository.
func (s *Store) DeleteBlob(ctx context.Context, repo string, d digest.Digest, opts *registry.DeleteOptions) error {
	if err := checkBlob(repo, d); err != nil {
		return err
	}
	r := s.repo(repo).withReserve()
	del := newDeletion(opts)
	if !del.NotSetAfter.IsZero() {
		return errNotSetAfter
	}
	var marked *object.Link // as this delete has condemned it
	var err error
	for range object.Attempts(ctx, &err) {
		l, err := r.ReadLink(ctx, d)
		if err != nil {
			return err
		}
		if marked != nil && l.State == object.Gone {
			// A collection has found the mark, and has removed the link.
			return del.report(r.SyncAfter(ctx, nil, r.LinkKey(d)), blobDescriptor(d, marked.Size))
		}
		if !l.Readable() {
			return registry.ErrBlobUnknown.WithDetail(map[string]string{"digest": string(d)})
		}
		if err := requireDigest(del.If, d); err != nil {
			return err
		}
		was := l.State
		if l, err = r.condemn(ctx, d, l, del); driver.IsConflict(err) {
			continue
		} else if err != nil {
			return err
		}
		if was != object.Condemned {
			marked = l
		}
		if err := r.EndEpoch(ctx, "", object.BlobDeleted, del.catalogued); err != nil {
			return err
		}
		if err := r.RemoveLink(ctx, d, l); !driver.IsConflict(err) {
			err = errors.Join(object.RegistryError(err), r.SyncAfter(ctx, err, r.LinkKey(d)))
			return del.report(err, blobDescriptor(d, l.Size))
		}
	}
	return err
}

// condemn marks a link like a collector. It then checks whether a protected tag needs the blob, or,
// with IfUnused, whether any manifest does.
//
// Errors: driver.ErrChanged if another writer has changed the link; registry.ErrDenied, and the
// link is live again.
func (r repo) condemn(ctx context.Context, d digest.Digest, l *object.Link, del *deletion) (*object.Link, error) {
	var err error
	if l.State != object.Condemned {
		if l, err = r.SetLink(ctx, d, l, object.Condemned); err != nil {
			return nil, object.RegistryError(err)
		}
	}
	err = r.refuseBlob(ctx, d, del.Keep)
	if err == nil && del.IfUnused {
		err = r.refuseUsed(ctx, d)
	}
	if err != nil {
		_, back := r.SetLink(ctx, d, l, object.Live)
		if driver.IsConflict(back) {
			back = nil // another writer has changed the link; a delete without the condition may remove it
		}
		return nil, errors.Join(err, object.RegistryError(back))
	}
	return l, nil
}

// DeleteManifest implements [registry.Deleter]. The tags of a manifest and its entry with its
// subject are deleted with it.
func (s *Store) DeleteManifest(ctx context.Context, repo string, ref reference.Ref,
	opts *registry.DeleteOptions) error {
	if err := checkRef(repo, ref); err != nil {
		return err
	}
	r := s.repo(repo).withReserve()
	del := newDeletion(opts)
	// A delete that has begun is finished, even if the client hangs up.
	ctx = context.WithoutCancel(ctx)
	switch {
	case ref.Tag != "" && del.IfUnused:
		return errIfUnused
	case ref.Tag != "":
		return r.deleteTag(ctx, ref.Tag, del)
	case del.IfUnused:
		return r.deleteUnused(ctx, ref.Digest, del)
	case !del.NotSetAfter.IsZero():
		return errNotSetAfter
	}
	return r.deleteManifest(ctx, ref.Digest, del)
}

// errNotSetAfter is returned by deletes that do not support DeleteOptions.NotSetAfter.
var errNotSetAfter = registry.ErrUnsupported.WithMessage(
	"only a delete of a tag, or of an unused manifest, can depend on when it was set")

// errPushedAgain is returned by a delete of a manifest whose record was written after
// DeleteOptions.NotSetAfter.
var errPushedAgain = registry.ErrPreconditionFailed.WithMessage("the manifest was pushed again")

// errSetAgain is returned by a delete of a tag that was set after DeleteOptions.NotSetAfter.
var errSetAgain = registry.ErrPreconditionFailed.WithMessage("the tag was set again")

// deletion is how something is deleted: the caller's options, and, if a whole repository is
// deleted, what ties the deletes of its content together.
type deletion struct {
	registry.DeleteOptions
	group string    // the event of the delete of the repository
	since time.Time // blobs that were pushed since then stay; zero means that none do
	while string    // the version of the repository's record while the delete may go on; "" means always

	catalogued *object.Repository // the record of a repository that is deleted as a whole, or nil

	// damaged, unless nil, reports whether the content of a manifest is still to be deleted, see
	// Check.Repository.
	damaged func(content []byte) bool
}

func newDeletion(opts *registry.DeleteOptions) *deletion {
	d := &deletion{}
	if opts != nil {
		d.DeleteOptions = *opts
	}
	return d
}

// report calls DeleteOptions.Deleted, unless the delete has failed with err. It returns err.
func (d *deletion) report(err error, target ocispec.Descriptor, tags ...string) error {
	if err == nil && d.Deleted != nil {
		d.Deleted(target, tags)
	}
	return err
}

// deleteTag deletes a tag. Its back reference is left to collectors. The conditions are part of the
// delete, because each push that sets the tag writes its record in a new version.
//
// Errors: registry.ErrManifestUnknown, ErrDenied, ErrPreconditionFailed.
func (r repo) deleteTag(ctx context.Context, tag string, del *deletion) error {
	if err := keepTag(tag, del.Keep); err != nil {
		return err
	}
	var err error
	for range object.Attempts(ctx, &err) {
		t, err := r.readTag(ctx, tag)
		if err != nil {
			return err
		}
		if !del.NotSetAfter.IsZero() && t.SetTime().After(del.NotSetAfter) {
			return errSetAgain.WithDetail(map[string]string{"tag": tag})
		}
		if !del.If.IsZero() || !del.NotSetAfter.IsZero() {
			if _, err := r.require(ctx, tag, del.If, t); err != nil {
				return err
			}
			err := r.giveWay(ctx, t, claim{}, map[string]*object.Entry{})
			if err == nil {
				err = r.awaitDecided(ctx, t)
			}
			if errors.Is(err, errHalfWay) {
				continue
			} else if err != nil {
				return err
			}
		}
		b, err := r.BeginEvent(ctx, object.EventUntag, tag, object.Event{
			By: del.By, Before: &t.Descriptor, Set: t.SetTime().UTC(),
		})
		if err != nil {
			return err
		}
		err = r.Driver.Delete(ctx, r.TagKey(tag), t.Version)
		if err == nil {
			b.End(ctx, object.Happened)
		} else if errors.Is(err, driver.ErrNotExist) || driver.IsConflict(err) {
			b.DiscardUnlessGone(ctx, r.TagKey(tag))
		}
		if errors.Is(err, driver.ErrNotExist) {
			return manifestUnknown(reference.Ref{Tag: tag})
		}
		if !driver.IsConflict(err) {
			err = errors.Join(object.RegistryError(err), r.SyncAfter(ctx, err, r.TagKey(tag)))
			return del.report(err, t.Descriptor, tag)
		}
	}
	return err
}
