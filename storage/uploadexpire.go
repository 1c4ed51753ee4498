package storage

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// ExpireUploads ends the uploads that have had no request for Options.UploadTTL, and drops their
// bytes. It leaves the bytes of an upload that came in a single request to Collect. It returns the
// number of uploads that it has ended.
//
// [Store.Collect] does the same. A program that wants the space sooner calls ExpireUploads
// periodically, for example once an hour. It can run at any time, on any number of replicas. An
// upload whose single request lasts longer than Options.UploadTTL is ended too, and its client
// must begin again.
//
// Errors: any error of the driver. The number counts what was ended before it.
func (s *Store) ExpireUploads(ctx context.Context) (int, error) {
	objects := s.objects.WithReserve()
	n := 0
	for info, err := range s.expiredUploads(ctx, objects) {
		if err != nil {
			return n, err
		}
		ended, err := s.expire(ctx, objects, info)
		if err != nil {
			return n, err
		}
		if ended {
			n++
		}
	}
	return n, s.sweepUploads(ctx, objects)
}

// expiredUploads yields the records of uploads that have had no request for Options.UploadTTL.
func (s *Store) expiredUploads(ctx context.Context, objects *object.Store) iter.Seq2[driver.Info, error] {
	return func(yield func(driver.Info, error) bool) {
		for info, err := range objects.Driver.List(ctx, object.UploadPrefix, nil) {
			if err != nil {
				yield(driver.Info{}, object.RegistryError(err))
				return
			}
			if time.Since(info.ModTime) >= s.opts.UploadTTL && !yield(info, nil) {
				return
			}
		}
	}
}

// sweepUploads removes what a driver keeps of records that are gone. The Store refuses the ID of an
// upload without a record after UploadTTL. So after twice that time no request writes such a
// record, unless it has stalled for as long. Then its upload is lost, like an expired upload.
func (s *Store) sweepUploads(ctx context.Context, objects *object.Store) error {
	sweeper, ok := objects.Driver.(driver.Sweeper)
	if !ok {
		return nil
	}
	_, err := sweeper.Sweep(ctx, object.UploadPrefix, time.Now().Add(-2*s.opts.UploadTTL))
	return object.RegistryError(err)
}

// expire ends one upload if its record has not changed since it was listed, and reports whether it
// did.
func (s *Store) expire(ctx context.Context, objects *object.Store, info driver.Info) (bool, error) {
	b, now, err := objects.Read(ctx, info.Key)
	if errors.Is(err, driver.ErrNotExist) || err == nil && now.Version != info.Version {
		return false, nil
	}
	if err != nil {
		return false, object.RegistryError(err)
	}
	var r uploadRecord
	_, whole := object.Decode(b, &r)
	if err := objects.Driver.Delete(ctx, info.Key, info.Version); err != nil {
		if errors.Is(err, driver.ErrNotExist) || driver.IsConflict(err) {
			return false, nil
		}
		return false, object.RegistryError(err)
	}
	// No request can commit the upload any more, because a Commit claims the record first. There
	// are two cases in which a link may name the bytes, so that they are left to a collection: a
	// Commit has claimed the record already; or the record is the first one of the upload. If the
	// response to the first write was lost, that write may have been repeated after the upload was
	// committed.
	if whole && r.State == receiving && r.Seq > 1 {
		objects.DropSegments(ctx, r.Segments)
	}
	return true, nil
}
