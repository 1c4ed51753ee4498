package fill

import (
	"context"
	"errors"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/pause"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

const (
	// followLeast and followMost are the times between two looks at the upload of another replica.
	followLeast, followMost = 50 * time.Millisecond, 500 * time.Millisecond
)

// observer is what a fill has seen of the holder of its lease. Times are by the clock of this
// process: the clocks of others do not matter.
type observer struct {
	lease, wait time.Duration // Options.Lease, Options.Wait
	looked      bool          // the lease was read before
	holder      string
	beat        int64
	alive       time.Time // when the holder or its beat was first seen as it is
	progress    time.Time // when the upload has last grown
}

// see notes the state of a lease.
func (o *observer) see(l *lease) {
	if o.alive.IsZero() || l.rec.Holder != o.holder || l.rec.Beat != o.beat {
		o.holder, o.beat, o.alive = l.rec.Holder, l.rec.Beat, time.Now()
	}
}

// isDead reports whether the holder of a lease has given no sign of life for Options.Lease.
func (o *observer) isDead(l *lease) bool {
	o.see(l)
	return time.Since(o.alive) > o.lease
}

// follow follows the upload of the replica that holds the lease, until something else is to be done.
//
// Errors: errAgain; errUnstored if the upload does not grow for Options.Wait; the cause of ctx.
func (fl *fill) follow(ctx context.Context, l *lease, seen *observer) error {
	up, err := fl.resume(ctx, l.rec.Upload)
	if err != nil && !errors.Is(err, registry.ErrUploadUnknown) {
		return err
	}
	every, looked, sleep := max(fl.fills.opts.Lease/10, followLeast), time.Time{}, followLeast
	for {
		if up != nil {
			grown, err := fl.take(ctx, up, l)
			if err != nil {
				return err
			}
			if sleep = min(2*sleep, followMost); grown {
				seen.progress, sleep = time.Now(), followLeast
			}
		}
		if up == nil || time.Since(looked) >= every {
			looked = time.Now()
			if err := fl.observe(ctx, l, seen); err != nil {
				return err
			}
		}
		if time.Since(seen.progress) > seen.wait {
			return errUnstored
		}
		if pause.Sleep(ctx, sleep) != nil {
			return context.Cause(ctx)
		}
		if up == nil {
			return errAgain
		}
	}
}

// take looks at what the upload of another replica has now. grown reports whether that is more than
// before.
//
// Errors: errAgain if the upload has ended; any error of the storage.
func (fl *fill) take(ctx context.Context, up storage.FollowUpload, l *lease) (grown bool, err error) {
	err = up.Refresh(ctx)
	if errors.Is(err, registry.ErrUploadUnknown) {
		return false, errAgain
	}
	if err != nil {
		return false, err
	}
	fl.mu.Lock()
	grown = up.Size() > fl.stored
	if fl.size < 0 {
		fl.size = l.rec.Size
	}
	fl.mu.Unlock()
	if !grown {
		return false, nil
	}
	fl.restart(up)
	if got, err := up.Digest(); err == nil && got == fl.digest {
		fl.verified()
	}
	return true, nil
}

// observe reads the lease that this fill follows, and notes in it that a replica follows.
//
// Errors: errAgain if the lease has another state than one that a live replica holds.
func (fl *fill) observe(ctx context.Context, l *lease, seen *observer) error {
	holder := l.rec.Holder
	if err := l.read(ctx); errors.Is(err, driver.ErrNotExist) {
		return errAgain
	} else if err != nil {
		return storageError(err)
	}
	if seen.isDead(l) || l.rec.Holder != holder {
		return errAgain
	}
	if !l.rec.Followed {
		rec := l.rec
		rec.Followed = true
		if err := l.write(ctx, rec); err != nil && !driver.IsConflict(err) {
			return storageError(err)
		}
	}
	return nil
}
