package fill

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/storage/driver"
)

const (
	// leasePrefix is the prefix of the keys of all leases: m/f/<R>/<alg>/<hex>, where R is the name of
	// the repository as objectkey.Escape returns it.
	leasePrefix = "m/f/"
	// maxLease is the maximum size of the record of a lease, in bytes.
	maxLease = 16 << 10
	// storageTimeout is the maximum time of a request to the storage for a lease.
	storageTimeout = 30 * time.Second
)

// leaseKey returns the key of the lease of a blob.
func leaseKey(repo string, d digest.Digest) string {
	return leasePrefix + objectkey.Escape(repo) + "/" + objectkey.DigestPath(d)
}

// leaseRecord is the content of a lease. Each change of it is made on the version that was read.
type leaseRecord struct {
	Nonce string `json:"nonce"` // differs in each version
	// Holder identifies the fill that requests the blob from the upstream. It is "" if nobody does:
	// a fill has ended early, and the next one continues its upload.
	Holder string `json:"holder,omitempty"`
	// Beat grows while the holder is alive. A follower that sees the same Beat for Options.Lease, by
	// its own clock, takes the lease.
	Beat     int64  `json:"beat"`
	Upload   string `json:"upload"`             // ID of the upload
	Size     int64  `json:"size"`               // of the blob in bytes, or -1
	ETag     string `json:"etag,omitempty"`     // of the content at the upstream
	URL      string `json:"url,omitempty"`      // that ETag is of
	Followed bool   `json:"followed,omitempty"` // another replica reads the upload
}

// lease is a lease as it was last read or written.
type lease struct {
	driver  driver.Driver
	key     string
	rec     leaseRecord
	version string // of the object; "" if there is none
}

// read reads the lease. It transfers nothing if the lease has the version that was read last.
//
// Errors: driver.ErrNotExist; any error of the driver.
func (l *lease) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	body, info, err := l.driver.Open(ctx, l.key, &driver.OpenOptions{IfNotVersion: l.version})
	switch {
	case errors.Is(err, driver.ErrNotModified):
		return nil
	case errors.Is(err, driver.ErrNotExist):
		l.rec, l.version = leaseRecord{}, ""
		return err
	case err != nil:
		return err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, maxLease))
	if err != nil {
		return err
	}
	rec := leaseRecord{Size: -1}
	if json.Unmarshal(b, &rec) != nil {
		rec = leaseRecord{Size: -1} // a loss of power has cut it short: nobody holds it
	}
	l.rec, l.version = rec, info.Version
	return nil
}

// write makes rec the record of the lease, if the lease is still as it was last read or written.
//
// Errors: driver.ErrExist or driver.ErrChanged if it is not; any error of the driver, after which
// the record may have been written.
func (l *lease) write(ctx context.Context, rec leaseRecord) error {
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	rec.Nonce = rand.Text()
	b, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	b = append(b, '\n')
	info, err := l.driver.Put(ctx, l.key, bytes.NewReader(b), &driver.PutOptions{
		IfAbsent: l.version == "", IfVersion: l.version, Durability: driver.Deferred, Size: int64(len(b)),
	})
	if err == nil {
		l.rec, l.version = rec, info.Version
		return nil
	}
	// The write may have happened although its response was lost. The nonce shows whether it has.
	now := lease{driver: l.driver, key: l.key}
	if rerr := now.read(ctx); rerr == nil && now.rec.Nonce == rec.Nonce {
		l.rec, l.version = now.rec, now.version
		return nil
	}
	return err
}

// change changes the record of a lease that holder holds. Others may have noted meanwhile that they
// follow the upload; that stays.
//
// Errors: errLost if another fill holds the lease; any error of the driver.
func (l *lease) change(ctx context.Context, holder string, edit func(*leaseRecord)) error {
	for {
		rec := l.rec
		edit(&rec)
		err := l.write(ctx, rec)
		if !driver.IsConflict(err) {
			return err
		}
		if err := l.reread(ctx, holder); err != nil {
			return err
		}
	}
}

// remove deletes a lease that holder holds. A lease that is gone is not an error.
//
// Errors: as change.
func (l *lease) remove(ctx context.Context, holder string) error {
	for l.version != "" {
		err := l.delete(ctx)
		if errors.Is(err, driver.ErrNotExist) {
			return nil
		}
		if !driver.IsConflict(err) {
			return err
		}
		if err := l.reread(ctx, holder); err != nil {
			return err
		}
	}
	return nil
}

// delete deletes the lease, if it is still as it was last read or written.
//
// Errors: driver.ErrNotExist; driver.ErrChanged; any other error of the driver.
func (l *lease) delete(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	return l.driver.Delete(ctx, l.key, l.version)
}

// reread reads a lease that holder holds. If the lease is gone, the record stays as it was, and the
// next write creates the lease again.
//
// Errors: errLost if another fill holds the lease; any error of the driver.
func (l *lease) reread(ctx context.Context, holder string) error {
	was := l.rec
	err := l.read(ctx)
	switch {
	case errors.Is(err, driver.ErrNotExist):
		l.rec = was
		return nil
	case err != nil:
		return err
	case l.rec.Holder != holder:
		return errLost
	}
	return nil
}
