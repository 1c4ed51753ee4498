//go:build linux || darwin

package disk

import (
	"context"
	"io"
	"io/fs"
	"syscall"

	"github.com/registrykit/registry/storage/driver"
)

// Open implements [driver.Driver]. The reader is a [syscall.Conn] and an [io.Seeker], so that the
// kernel can send the bytes.
func (d *Driver) Open(ctx context.Context, key string, opts *driver.OpenOptions) (io.ReadCloser, driver.Info, error) {
	if err := d.check(ctx, "open", key); err != nil {
		return nil, driver.Info{}, err
	}
	if opts != nil && (opts.Offset < 0 || opts.Length < 0) {
		return nil, driver.Info{}, failure("open", key, fs.ErrInvalid)
	}
	path := keyPath(key)
	var st syscall.Stat_t
	if opts != nil && opts.IfNotVersion != "" { // mostly the object has that version, and one lstat is enough
		switch err := d.object(path, &st); {
		case err == driver.ErrNotExist:
			return nil, driver.Info{}, failure("open", key, err)
		case err == nil && hasVersion(&st, opts.IfNotVersion):
			return nil, infoOf(key, &st, opts.IfNotVersion), driver.ErrNotModified
		}
	}
	fd, err := d.openObject(path, &st)
	if err != nil {
		return nil, driver.Info{}, failure("open", key, err)
	}
	i := info(key, &st)
	if opts == nil {
		return newReader(fd, d.objects+path, 0), i, nil
	}
	if opts.IfNotVersion != "" && opts.IfNotVersion == i.Version {
		_ = syscall.Close(fd)
		return nil, i, driver.ErrNotModified
	}
	return newReader(fd, d.objects+path, min(opts.Offset, i.Size)), i, nil
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

// Local implements [driver.Local].
func (d *Driver) Local() bool { return true }

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
