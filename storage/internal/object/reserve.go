package object

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/registrykit/registry/internal/pause"
	"github.com/registrykit/registry/storage/driver"
)

// The reserve is space in the storage that is freed, part by part, when the storage is full: an
// operation that frees space has to write first, marks above all.
const (
	reserveParts    = 64
	reservePartSize = 64 << 10 // in bytes

	// Some stores check only once a second how much space there is. So that the reserve is not used
	// up in that time, there is a pause after each of the first reserveWaits parts, of two and a
	// half seconds in all.
	reserveWaits = 7
	reserveWait  = 10 * time.Millisecond
)

// reserveKey returns the key of a part of the reserve.
func reserveKey(part int) string { return fmt.Sprintf("%s%02d", reservePrefix, part) }

// reserve frees parts of the reserve for one write at a time.
type reserve struct{ mu sync.Mutex }

// put is Driver.Put for an operation that frees space. A body that cannot seek is written without
// the reserve, because the write cannot be repeated.
func (r *reserve) put(ctx context.Context, d driver.Driver, key string, body io.Reader,
	opts *driver.PutOptions) (info driver.Info, err error) {
	content, again := body.(io.Seeker)
	if body != nil && !again {
		return d.Put(ctx, key, body, opts)
	}
	err = r.spend(ctx, d, func(n int) error {
		if n > 0 && again {
			if _, serr := content.Seek(0, io.SeekStart); serr != nil {
				return serr
			}
		}
		info, err = d.Put(ctx, key, body, opts)
		return err
	})
	return info, err
}

// delete is Driver.Delete for an operation that frees space. On a storage without conditional
// deletes, a delete writes a small object in place of the one that it removes.
func (r *reserve) delete(ctx context.Context, d driver.Driver, key, ifVersion string) error {
	return r.spend(ctx, d, func(int) error { return d.Delete(ctx, key, ifVersion) })
}

// spend calls f, with the number of calls before, until it no longer fails with driver.ErrNoSpace
// or the reserve is used up. Before each call but the first two, it removes a part of the reserve.
func (r *reserve) spend(ctx context.Context, d driver.Driver, f func(n int) error) error {
	err := f(0)
	if !errors.Is(err, driver.ErrNoSpace) {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// Another operation may have removed a part while this one waited for the lock, so the first
	// call here is made without removing one.
	for n := range 1 + reserveParts {
		if n > 0 {
			if left, gerr := removePart(ctx, d); gerr != nil || !left {
				return errors.Join(err, gerr)
			}
		}
		if err = f(n + 1); !errors.Is(err, driver.ErrNoSpace) {
			break
		}
		if n > 0 && n <= reserveWaits {
			if werr := pause.Sleep(ctx, reserveWait<<n); werr != nil {
				return errors.Join(err, werr)
			}
		}
	}
	return err
}

// removePart removes a part of the reserve, and reports whether there was one.
func removePart(ctx context.Context, d driver.Driver) (bool, error) {
	for info, err := range d.List(ctx, reservePrefix, &driver.ListOptions{KeysOnly: true, PageHint: 1}) {
		if err != nil {
			return false, err
		}
		if err := d.Delete(ctx, info.Key, ""); err != nil && !errors.Is(err, driver.ErrNotExist) {
			return false, err
		}
		return true, nil
	}
	return false, nil
}

// reserveDriver is a Driver whose writes and deletes may use up the reserve.
type reserveDriver struct {
	driver.Driver
	reserve *reserve
}

// Put implements [driver.Driver].
func (d reserveDriver) Put(ctx context.Context, key string, body io.Reader,
	opts *driver.PutOptions) (driver.Info, error) {
	return d.reserve.put(ctx, d.Driver, key, body, opts)
}

// Delete implements [driver.Driver].
func (d reserveDriver) Delete(ctx context.Context, key, ifVersion string) error {
	return d.reserve.delete(ctx, d.Driver, key, ifVersion)
}

// Sweep implements [driver.Sweeper], if the driver below does. Otherwise it does nothing.
func (d reserveDriver) Sweep(ctx context.Context, prefix string, before time.Time) (int, error) {
	if sweeper, ok := d.Driver.(driver.Sweeper); ok {
		return sweeper.Sweep(ctx, prefix, before)
	}
	return 0, nil
}

// KeepReserve writes the parts of the reserve that are missing. After an error, the reserve is
// smaller than it should be, or empty.
func (s *Store) KeepReserve(ctx context.Context) {
	there := make(map[string]bool, reserveParts)
	for info, err := range s.Driver.List(ctx, reservePrefix, nil) {
		if err != nil {
			return
		}
		there[info.Key] = info.Size == reservePartSize // after a loss of power it may be less
	}
	for part := range reserveParts {
		if there[reserveKey(part)] {
			continue
		}
		// Random bytes take the space that they should, even on a storage that compresses.
		_, err := s.Driver.Put(ctx, reserveKey(part), io.LimitReader(rand.Reader, reservePartSize), &driver.PutOptions{
			Durability: driver.Relaxed, Size: reservePartSize,
		})
		if err != nil {
			return
		}
	}
}
