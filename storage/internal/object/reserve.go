package object

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

// The reserve is room that is given up, part by part, when the storage is full: who makes space has
// to write first, marks above all.
const (
	reserveParts    = 64
	reservePartSize = 64 << 10

	// Some stores look only once in a second how much room there is. So that not all is given up
	// meanwhile, the first parts, so many, are each given longer to help, two and a half seconds in
	// all.
	reserveWaits = 7
	reserveWait  = 10 * time.Millisecond
)

func reserveKey(part int) string { return fmt.Sprintf("%s%02d", reservePrefix, part) }

// reserve gives parts up for one write after the other.
type reserve struct{ mu sync.Mutex }

// put is a Put of who makes space.
func (r *reserve) put(ctx context.Context, d driver.Driver, key string, body io.Reader, opts *driver.PutOptions) (info driver.Info,
	err error) {
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

// delete is a Delete of who makes space: where no delete depends on a version, it writes that
// something has gone.
func (r *reserve) delete(ctx context.Context, d driver.Driver, key, ifVersion string) error {
	return r.spend(ctx, d, func(int) error { return d.Delete(ctx, key, ifVersion) })
}

// spend calls f, with the number of calls before, until it has room.
func (r *reserve) spend(ctx context.Context, d driver.Driver, f func(n int) error) error {
	err := f(0)
	if !errors.Is(err, driver.ErrNoSpace) {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// Others may have given up a part while this one waited, so it does not do so at once.
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
			if werr := Sleep(ctx, reserveWait<<n); werr != nil {
				return errors.Join(err, werr)
			}
		}
	}
	return err
}

// giveUp removes a part of the reserve, and reports whether there was one.
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

// spending is a Driver whose writes and deletes may use up the reserve.
type reserveDriver struct {
	driver.Driver
	reserve *reserve
}

func (d reserveDriver) Put(ctx context.Context, key string, body io.Reader, opts *driver.PutOptions) (driver.Info, error) {
	return d.reserve.put(ctx, d.Driver, key, body, opts)
}

func (d reserveDriver) Delete(ctx context.Context, key, ifVersion string) error {
	return d.reserve.delete(ctx, d.Driver, key, ifVersion)
}

// Sweep implements [driver.Sweeper], for a driver that is one.
func (d reserveDriver) Sweep(ctx context.Context, prefix string, before time.Time) (int, error) {
	if sweeper, ok := d.Driver.(driver.Sweeper); ok {
		return sweeper.Sweep(ctx, prefix, before)
	}
	return 0, nil
}

// keepReserve sees to it that there is a reserve. If that fails, there is none, or less.
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
		// What is random takes as much room as it says, whatever the storage does to save some.
		_, err := s.Driver.Put(ctx, reserveKey(part), io.LimitReader(rand.Reader, reservePartSize), &driver.PutOptions{
			Durability: driver.Relaxed, Size: reservePartSize,
		})
		if err != nil {
			return
		}
	}
}
