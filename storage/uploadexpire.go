package storage

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// ExpireUploads ends the uploads that have had no request for Options.UploadTTL, and drops what
// they received; only what has come all in one request is left to Collect. It returns how many it
// ended. It may run beside anything, on any number of replicas; a host calls it now and then, once
// an hour, say. An upload that is being received for longer than that in one request is ended, too:
// its client is told to begin again.
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

// expiredUploads lists the records of uploads that have had no request for Options.UploadTTL.
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

// sweepUploads removes what a driver keeps of records that are gone. An id is refused after
// UploadTTL, so after twice that nobody writes a record there, unless it stalled for as long on its
// way: then its upload is lost, as one is that has expired.
func (s *Store) sweepUploads(ctx context.Context, objects *object.Store) error {
	sweeper, ok := objects.Driver.(driver.Sweeper)
	if !ok {
		return nil
	}
	_, err := sweeper.Sweep(ctx, object.UploadPrefix, time.Now().Add(-2*s.opts.UploadTTL))
	return object.RegistryError(err)
}

// expire ends one upload, if it is still as it was listed.
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
		if errors.Is(err, driver.ErrNotExist) || object.IsConflict(err) {
			return false, nil
		}
		return false, object.RegistryError(err)
	}
	// Nobody can commit it any more: a Commit claims the record first. Where one has done that
	// already, a link may name the bytes, and they are the collector's. So they are with the first
	// record: where its answer was lost, it may have been written again when the upload had been
	// committed.
	if whole && r.State == receiving && r.Seq > 1 {
		objects.DropSegments(ctx, r.Segments)
	}
	return true, nil
}
