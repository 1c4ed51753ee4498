package fill

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/storage/driver"
)

// cleanAfter is the least age of a lease that Clean removes. It is much longer than Options.Lease, so
// that the clocks of the storage and of the processes may differ.
const cleanAfter = time.Hour

// Clean removes the leases that nobody holds and whose uploads have ended. The mirror calls it now
// and then. It lists all leases, and reads those that have not changed for an hour.
//
// Errors: those of the storage.
func (f *Fills) Clean(ctx context.Context) error {
	var errs []error
	for info, err := range f.driver.List(ctx, leasePrefix, nil) {
		if err != nil {
			return errors.Join(append(errs, storageError(err))...)
		}
		if time.Since(info.ModTime) < max(cleanAfter, 10*f.opts.Lease) {
			continue
		}
		if err := f.cleanLease(ctx, info.Key); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// cleanLease removes an old lease, unless its upload has bytes.
func (f *Fills) cleanLease(ctx context.Context, key string) error {
	l := &lease{driver: f.driver, key: key}
	if err := l.read(ctx); errors.Is(err, driver.ErrNotExist) {
		return nil
	} else if err != nil {
		return storageError(err)
	}
	repo, _, ok := leaseOf(key)
	if ok && l.rec.Upload != "" {
		up, err := f.store.ResumeUpload(ctx, repo, l.rec.Upload, &registry.ResumeOptions{Owner: owner})
		if err != nil && !errors.Is(err, registry.ErrUploadUnknown) || err == nil && up.Size() > 0 {
			return err
		}
	}
	if err := l.delete(ctx); err != nil && !driver.IsConflict(err) && !errors.Is(err, driver.ErrNotExist) {
		return storageError(err)
	}
	return nil
}

// leaseOf returns the repository and the digest of a lease with a key. ok is false if it is not the
// key of a lease.
func leaseOf(key string) (repo string, d digest.Digest, ok bool) {
	parts := strings.Split(strings.TrimPrefix(key, leasePrefix), "/")
	if len(parts) != 3 {
		return "", "", false
	}
	return objectkey.Unescape(parts[0]), digest.NewDigestFromEncoded(digest.Algorithm(parts[1]), parts[2]), true
}
