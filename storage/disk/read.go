//go:build linux || darwin

package disk

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/registrykit/registry/storage"
)

// Open implements [storage.Driver]. The reader is an [*os.File] that stands at the offset.
func (d *Driver) Open(ctx context.Context, key string, opts *storage.OpenOptions) (io.ReadCloser, storage.Info, error) {
	if err := check(ctx, "open", key); err != nil {
		return nil, storage.Info{}, err
	}
	if opts != nil && (opts.Offset < 0 || opts.Length < 0) {
		return nil, storage.Info{}, failure("open", key, fs.ErrInvalid)
	}
	f, err := os.OpenFile(d.objects+keyPath(key), os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, storage.Info{}, failure("open", key, openError(err))
	}
	i, err := opened(f, key, opts)
	if err != nil {
		_ = f.Close()
		return nil, i, err
	}
	return f, i, nil
}

// opened returns the Info of an opened object and positions it.
func opened(f *os.File, key string, opts *storage.OpenOptions) (storage.Info, error) {
	fi, err := f.Stat()
	if err != nil {
		return storage.Info{}, failure("open", key, err)
	}
	st := fi.Sys().(*syscall.Stat_t)
	if !isFile(st) {
		return storage.Info{}, failure("open", key, storage.ErrNotExist)
	}
	i := info(key, st)
	if opts == nil {
		return i, nil
	}
	if opts.IfNotVersion != "" && opts.IfNotVersion == i.Version {
		return i, storage.ErrNotModified
	}
	if opts.Offset > 0 {
		if _, err := f.Seek(min(opts.Offset, i.Size), io.SeekStart); err != nil {
			return storage.Info{}, failure("open", key, err)
		}
	}
	return i, nil
}

// Stat implements [storage.Driver].
func (d *Driver) Stat(ctx context.Context, key string) (storage.Info, error) {
	if err := check(ctx, "stat", key); err != nil {
		return storage.Info{}, err
	}
	var st syscall.Stat_t
	if err := d.object(keyPath(key), &st); err != nil {
		return storage.Info{}, failure("stat", key, err)
	}
	return info(key, &st), nil
}

// check is what every operation on a key begins with.
func check(ctx context.Context, op, key string) error {
	if !storage.ValidKey(key) {
		return failure(op, key, storage.ErrKey)
	}
	return ctx.Err()
}

// openError returns what it means that an object could not be opened. Below a file there is nothing, and
// a symbolic link (ELOOP) is no object.
func openError(err error) error {
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) {
		return storage.ErrNotExist
	}
	return err
}
