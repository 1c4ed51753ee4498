package storage

import (
	"context"
	"errors"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

// ExpireUploads ends the uploads that have had no request for Options.UploadTTL, and drops what
// they received; only what has come all in one request is left to Collect. It returns how many it
// ended. It may run beside anything, on any number of replicas; a host calls it now and then, once
// an hour, say. An upload that is being received for longer than that in one request is ended, too:
// its client is told to begin again.
func (s *Store) ExpireUploads(ctx context.Context) (int, error) {
	return s.makingSpace().expireUploads(ctx, false)
}

// expireUploads is ExpireUploads, which, if dry, only counts.
func (s *Store) expireUploads(ctx context.Context, dry bool) (int, error) {
	ended := 0
	for info, err := range s.driver.List(ctx, uploads, nil) {
		if err != nil {
			return ended, wire(err)
		}
		if time.Since(info.ModTime) < s.opts.UploadTTL {
			continue
		}
		if dry {
			ended++
			continue
		}
		did, err := s.expire(ctx, info)
		if err != nil {
			return ended, err
		}
		if did {
			ended++
		}
	}
	if dry {
		return ended, nil
	}
	return ended, s.sweepUploads(ctx)
}

// sweepUploads removes what a driver keeps of records that are gone. An id is refused after
// UploadTTL, so after twice that nobody writes a record there, unless it stalled for as long on its
// way: then its upload is lost, as one is that has expired.
func (s *Store) sweepUploads(ctx context.Context) error {
	sweeper, ok := s.driver.(driver.Sweeper)
	if !ok {
		return nil
	}
	_, err := sweeper.Sweep(ctx, uploads, time.Now().Add(-2*s.opts.UploadTTL))
	return wire(err)
}

// expire ends one upload, if it is still as it was listed.
func (s *Store) expire(ctx context.Context, info driver.Info) (bool, error) {
	b, now, err := s.read(ctx, info.Key)
	if errors.Is(err, driver.ErrNotExist) || err == nil && now.Version != info.Version {
		return false, nil
	}
	if err != nil {
		return false, wire(err)
	}
	var r uploadRecord
	_, whole := decode(b, &r)
	if err := s.driver.Delete(ctx, info.Key, info.Version); err != nil {
		if errors.Is(err, driver.ErrNotExist) || changed(err) {
			return false, nil
		}
		return false, wire(err)
	}
	// Nobody can commit it any more: a Commit claims the record first. Where one has done that
	// already, a link may name the bytes, and they are the collector's. So they are with the first
	// record: where its answer was lost, it may have been written again when the upload had been
	// committed.
	if whole && r.State == receiving && r.Seq > 1 {
		s.drop(ctx, r.Segments)
	}
	return true, nil
}
