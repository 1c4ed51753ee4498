package fill

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/pause"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// owner is the owner of the uploads of fills, see registry.UploadOptions.Owner. Their IDs are never
// sent to anybody, so it only matters that they have a limit of their own.
const owner = "mirror/fill"

// Why a fill ends early, or goes on in another way.
var (
	errClosed = registry.ErrUnavailable.WithCause(errors.New("fill: the process ends"))
	errIdle   = registry.ErrUnavailable.WithCause(errors.New("fill: no reader is left"))
	// errWrong is returned when the content of an upstream is not the blob.
	errWrong = registry.NewError("UNKNOWN", http.StatusBadGateway, "the upstream has sent wrong content")
	// errUnstored is returned when the bytes cannot be stored, or when another replica that stores
	// them makes no progress. Readers then get them straight from the upstream.
	errUnstored = errors.New("fill: the blob is not stored")
	// errFull is the errUnstored of a storage that is full.
	errFull = fmt.Errorf("%w: the storage is full", errUnstored)
	// errLost is returned when another fill holds the lease.
	errLost = errors.New("fill: another process has taken the lease")
	// errMoved is returned to a reader that has got bytes which need not be those of the blob.
	errMoved = registry.ErrUnavailable.WithCause(errors.New("fill: the blob was begun anew"))
	// errAgain is returned when it is worth looking at the lease and the store again.
	errAgain = errors.New("fill: the lease has changed")
)

// again is the time between two looks at a lease that another replica is about to change.
const again = 50 * time.Millisecond

// run fills the blob, or follows the replica that does, and ends the fill.
//
// The order of the writes is that of internal/model/fill.pml: the lease, the upload, the blob; then
// the lease is deleted. A fill that dies anywhere leaves a lease that names its upload.
func (fl *fill) run(ctx context.Context) {
	l := &lease{driver: fl.fills.driver, key: fl.key}
	seen := &observer{wait: fl.fills.opts.Wait, lease: fl.fills.opts.Lease, progress: time.Now()}
	for {
		err := fl.attempt(ctx, l, seen)
		if errors.Is(err, errAgain) || errors.Is(err, errLost) {
			if err = pause.Sleep(ctx, again); err == nil {
				continue
			}
			err = context.Cause(ctx)
		}
		fl.end(err)
		return
	}
}

// end ends the fill with the result err. The next request for the blob begins another fill, or finds
// the blob in the store. A failure is logged first: after forget, Stats no longer counts the fill, and a
// host that waits for that may be gone.
func (fl *fill) end(err error) {
	f := fl.fills
	if err != nil && !errors.Is(err, errIdle) && !errors.Is(err, errClosed) {
		f.failed.Add(1)
		if isWrong(err) {
			f.wrong.Add(1)
		}
		f.log.Warn("a blob was not stored", "repository", fl.repo, "digest", fl.digest, "error", err)
	}
	f.forget(fl)
	fl.finish(err)
}

// attempt claims the lease and fills the blob, or follows the replica that holds the lease.
//
// Errors: errAgain, errLost; any error with which the fill ends.
func (fl *fill) attempt(ctx context.Context, l *lease, seen *observer) error {
	up, err := fl.claim(ctx, l, seen)
	switch {
	case errors.Is(err, errLost) && seen.looked:
		// The holder may have finished, and died before it could delete the lease.
		if stored, err := fl.isStored(ctx); stored || err != nil {
			return err
		}
		return fl.follow(ctx, l, seen)
	case errors.Is(err, errLost):
		seen.looked = true
		return fl.follow(ctx, l, seen)
	case errors.Is(err, registry.ErrNoSpace):
		fl.fills.setFull()
		return errFull
	case errors.Is(err, registry.ErrTooManyRequests):
		// Too many fills were left unfinished. The client of this one need not have begun any of them.
		return fmt.Errorf("%w: %w", errUnstored, err)
	case err != nil:
		return err
	}
	seen.looked = true
	// Another fill may have finished after the caller has looked into the store.
	if stored, err := fl.isStored(ctx); stored || err != nil {
		_ = l.remove(context.WithoutCancel(ctx), fl.holder) // otherwise Clean removes it
		return err
	}
	h := &holding{fill: fl, lease: l, upload: up}
	return h.hold(ctx)
}

// isStored reports whether the store has the blob.
func (fl *fill) isStored(ctx context.Context) (bool, error) {
	desc, err := fl.fills.store.StatBlob(ctx, fl.repo, fl.digest, nil)
	if errors.Is(err, registry.ErrBlobUnknown) {
		return false, nil
	}
	if err == nil {
		err = fl.found(ctx, desc.Size)
	}
	return err == nil, err
}

// claim writes the lease, if nobody holds it or its holder is dead. It returns the upload to
// continue: that of the lease, or a new one.
//
// Errors: errLost if another fill holds the lease; registry.ErrNoSpace; any other error of the
// storage.
func (fl *fill) claim(ctx context.Context, l *lease, seen *observer) (storage.FollowUpload, error) {
	for {
		if l.version != "" && l.rec.Holder != "" && l.rec.Holder != fl.holder && !seen.isDead(l) {
			return nil, errLost
		}
		up, err := fl.continued(ctx, l)
		if err != nil {
			return nil, err
		}
		rec := l.rec
		rec.Holder, rec.Upload, rec.Followed = fl.holder, up.ID(), false
		if l.version == "" {
			rec.Size = fl.size
		}
		if err = l.write(ctx, rec); !driver.IsConflict(err) {
			return up, storageError(err)
		}
		if err := l.read(ctx); err != nil && !errors.Is(err, driver.ErrNotExist) {
			return nil, storageError(err)
		}
	}
}

// continued returns the upload that the lease names, or a new one if there is none.
func (fl *fill) continued(ctx context.Context, l *lease) (storage.FollowUpload, error) {
	if l.version != "" && l.rec.Upload != "" {
		up, err := fl.resume(ctx, l.rec.Upload)
		if !errors.Is(err, registry.ErrUploadUnknown) {
			return up, err
		}
		l.rec.ETag, l.rec.URL = "", "" // what they were for is gone
	}
	up, err := fl.fills.store.CreateUpload(ctx, fl.repo,
		&registry.UploadOptions{Owner: owner, Algorithm: fl.digest.Algorithm(), Size: max(fl.size, 0)})
	return follower(up, err)
}

// resume returns the upload with an ID.
//
// Errors: registry.ErrUploadUnknown; any error of the storage.
func (fl *fill) resume(ctx context.Context, id string) (storage.FollowUpload, error) {
	up, err := fl.fills.store.ResumeUpload(ctx, fl.repo, id, &registry.ResumeOptions{Owner: owner})
	return follower(up, err)
}

// follower returns an upload of the store with the methods that all of them have.
func follower(up registry.Upload, err error) (storage.FollowUpload, error) {
	if err != nil {
		return nil, err
	}
	return up.(storage.FollowUpload), nil
}

// storageError returns an error of the driver as one of the registry.
func storageError(err error) error {
	switch {
	case errors.Is(err, driver.ErrNoSpace):
		return registry.ErrNoSpace.WithCause(err)
	case errors.Is(err, driver.ErrUnavailable):
		return registry.ErrUnavailable.WithCause(err)
	}
	return err
}
