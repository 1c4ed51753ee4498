package gocloud

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"

	"gocloud.dev/blob"

	"github.com/registrykit/registry/storage/driver"
)

// files lists the objects of fileblob. The lists of fileblob itself silently leave out directories
// that cannot be read, so that too many open files would look like an empty registry. They also
// fail when a file disappears, are out of order, and walk all files for each page.
type files struct {
	root   string // directory of the bucket
	prefix string // of the names
	locks  *Locks
}

// fileRoot returns the directory of a bucket of fileblob, which shows it only in errors.
func fileRoot(ctx context.Context, bucket *blob.Bucket) (string, error) {
	const name = "=root="
	_, err := bucket.Attributes(ctx, name)
	var failed *os.PathError
	if err == nil || !bucket.ErrorAs(err, &failed) {
		return "", fmt.Errorf("gocloud: fileblob does not show the directory of the bucket: %w",
			errors.Join(errors.ErrUnsupported, err))
	}
	if prefix, ok := strings.CutSuffix(filepath.Base(failed.Path), name); !ok || prefix != "" {
		return "", fmt.Errorf("gocloud: the prefix of a blob.PrefixedBucket over fileblob must end in %q, not in %q: %w",
			"/", prefix, errors.ErrUnsupported)
	}
	return filepath.Dir(failed.Path), nil
}

// probe returns an error unless the object with the name is at the path where files looks for it.
func (f *files) probe(name string) error {
	if _, err := os.Lstat(f.path(name)); err != nil {
		return fmt.Errorf("gocloud: the bucket does not keep its objects in %s: %w", f.root,
			errors.Join(errors.ErrUnsupported, err))
	}
	return nil
}

func (f *files) path(name string) string { return filepath.Join(f.root, filepath.FromSlash(name)) }

// regular returns an error unless the name is that of a regular file. Nothing else is an object, as
// in lists: fileblob would follow a symbolic link, read a device, and wait until the other end of a
// FIFO is opened.
//
// Errors: driver.ErrNotExist.
func (f *files) regular(name string) error {
	info, err := os.Lstat(f.path(name))
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("gocloud: not a regular file: %w", driver.ErrNotExist)
	}
	if errors.Is(err, syscall.ENOTDIR) {
		err = wrap(driver.ErrNotExist, err)
	}
	return err
}

func (f *files) list(ctx context.Context, prefix string, opts *driver.ListOptions,
	yield func(driver.Info) bool) error {
	w := walk{f: f, ctx: ctx, opts: opts, yield: yield}
	dir := f.prefix
	if prefix != "" {
		dir += directoryName(prefix[:len(prefix)-1])
	}
	_, err := w.directory(f.path(dir), prefix, "")
	return err
}

// walk is the state of one list. The order of files is the order of their keys, see fileName.
type walk struct {
	f     *files
	ctx   context.Context
	opts  *driver.ListOptions
	yield func(driver.Info) bool
}

// directory yields the objects in the directory at path. All their keys begin with prefix. If the
// directory holds the remainders of cut components, cut is its name, otherwise "". directory
// reports whether the consumer wants more.
func (w *walk) directory(path, prefix, cut string) (more bool, err error) {
	entries, err := w.read(path)
	if err != nil {
		return false, err
	}
	// part returns what an entry adds to the prefix.
	part := func(e fs.DirEntry) (part string, kind kind) { return keyPart(e.Name(), e.IsDir(), cut) }
	kept := entries[:0]
	for _, e := range entries {
		if _, kind := part(e); kind != notOurs && (e.IsDir() || e.Type().IsRegular()) {
			kept = append(kept, e)
		}
	}
	first := sort.Search(len(kept), func(i int) bool {
		p, kind := part(kept[i])
		key := prefix + p
		return key > w.opts.After || kind != object && strings.HasPrefix(w.opts.After, key)
	})
	for _, e := range kept[first:] {
		if err := w.ctx.Err(); err != nil {
			return false, err
		}
		p, kind := part(e)
		switch kind {
		case object:
			more, err = w.file(e, prefix+p)
		case directory:
			more, err = w.directory(filepath.Join(path, e.Name()), prefix+p, "")
		default:
			more, err = w.directory(filepath.Join(path, e.Name()), prefix+p, e.Name())
		}
		if !more || err != nil {
			return false, err
		}
	}
	return true, nil
}

// read returns the sorted entries of a directory. It returns none if the directory is missing, and
// an error if the directory of the driver is missing too.
func (w *walk) read(path string) ([]fs.DirEntry, error) {
	w.f.locks.names.Lock()
	defer w.f.locks.names.Unlock()
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, w.f.present()
	}
	return entries, err
}

// present returns an error if the directory that New wrote to is gone, for example because its file
// system is no longer mounted. A list must not report an empty registry then.
func (f *files) present() error {
	if _, err := os.Stat(f.path(f.prefix)); err != nil {
		return fmt.Errorf("%w: the directory of the bucket: %v", driver.ErrUnavailable,
			err) //nolint:errorlint // not that an object is missing
	}
	return nil
}

// file yields an object.
func (w *walk) file(e fs.DirEntry, key string) (more bool, err error) {
	if !driver.ValidKey(key) || key <= w.opts.After {
		return true, nil
	}
	if w.opts.KeysOnly {
		return w.yield(driver.Info{Key: key}), nil
	}
	info, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return true, w.f.present() // removed since the names were read
	}
	if err != nil {
		return false, err
	}
	return w.yield(localInfo(key, info.ModTime(), info.Size())), nil
}
