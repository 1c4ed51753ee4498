//go:build linux || darwin

package disk

import (
	"context"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/registrykit/registry/storage/driver"
)

// Open implements [driver.Driver]. The reader is an [*os.File] that stands at the offset.
func (d *Driver) Open(ctx context.Context, key string, opts *driver.OpenOptions) (io.ReadCloser, driver.Info, error) {
	if err := d.check(ctx, "open", key); err != nil {
		return nil, driver.Info{}, err
	}
	if opts != nil && (opts.Offset < 0 || opts.Length < 0) {
		return nil, driver.Info{}, failure("open", key, fs.ErrInvalid)
	}
	path := keyPath(key)
	if opts != nil && opts.IfNotVersion != "" { // mostly that is what is there, and then this is all
		var st syscall.Stat_t
		if err := d.object(path, &st); err == nil && version(&st) == opts.IfNotVersion {
			return nil, info(key, &st), driver.ErrNotModified
		}
	}
	var st syscall.Stat_t
	fd, err := d.openObject(path, &st)
	if err != nil {
		return nil, driver.Info{}, failure("open", key, err)
	}
	f, i := os.NewFile(uintptr(fd), d.objects+path), info(key, &st)
	if opts == nil {
		return f, i, nil
	}
	if opts.IfNotVersion != "" && opts.IfNotVersion == i.Version {
		_ = f.Close()
		return nil, i, driver.ErrNotModified
	}
	if opts.Offset > 0 {
		if _, err := f.Seek(min(opts.Offset, i.Size), io.SeekStart); err != nil {
			_ = f.Close()
			return nil, driver.Info{}, failure("open", key, err)
		}
	}
	return f, i, nil
}

// Stat implements [driver.Driver].
func (d *Driver) Stat(ctx context.Context, key string) (driver.Info, error) {
	if err := d.check(ctx, "stat", key); err != nil {
		return driver.Info{}, err
	}
	var st syscall.Stat_t
	if err := d.object(keyPath(key), &st); err != nil {
		return driver.Info{}, failure("stat", key, err)
	}
	return info(key, &st), nil
}

// MaxObjectSize implements [driver.Driver]. It returns 0: the limit is that of the file system.
func (d *Driver) MaxObjectSize() int64 { return 0 }

// check validates the key, the state of the Driver and the context. Every operation on a key calls
// it first.
func (d *Driver) check(ctx context.Context, op, key string) error {
	if !driver.ValidKey(key) {
		return failure(op, key, driver.ErrKey)
	}
	if d.closed.Load() {
		return failure(op, key, errClosed)
	}
	return ctx.Err()
}
