package memory

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"iter"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

// Options are the options of [New]. The zero value is ready to use.
type Options struct {
	// MaxBytes is the maximum number of bytes of all objects together, including the bytes of
	// bodies that a Put is still reading. A Put that exceeds it fails with [driver.ErrNoSpace].
	// Keys and the index are not counted. Default: no bound. Zero or negative means no bound.
	MaxBytes int64
	// MaxObjectSize is the maximum size of one object, in bytes. Default: no bound. Zero or
	// negative means no bound; a positive value below [driver.MinObjectSize] means MinObjectSize.
	MaxObjectSize int64
}

// Driver implements [driver.Driver] in memory. The readers that Open returns also implement
// [io.Seeker] and [io.WriterTo].
type Driver struct {
	max       int64
	maxObject int64

	mu    sync.RWMutex
	index index
	used  int64  // bytes of all objects and of the bodies that are being read
	last  uint64 // the last version, a counter
}

var _ driver.Driver = (*Driver)(nil)

// New returns an empty Driver. opts may be nil.
func New(opts *Options) *Driver {
	d := &Driver{}
	if opts == nil {
		return d
	}
	d.max = max(opts.MaxBytes, 0)
	if opts.MaxObjectSize > 0 {
		d.maxObject = max(opts.MaxObjectSize, driver.MinObjectSize)
	}
	return d
}

// Open implements [driver.Driver].
func (d *Driver) Open(ctx context.Context, key string, opts *driver.OpenOptions) (io.ReadCloser, driver.Info, error) {
	if opts == nil {
		opts = &driver.OpenOptions{}
	}
	if opts.Offset < 0 || opts.Length < 0 {
		return nil, driver.Info{}, failure("open", key, fs.ErrInvalid)
	}
	o, err := d.get(ctx, "open", key)
	if err != nil {
		return nil, driver.Info{}, err
	}
	if opts.IfNotVersion != "" && opts.IfNotVersion == o.Version {
		return nil, o.Info, driver.ErrNotModified
	}
	data := o.data[min(opts.Offset, o.Size):]
	if opts.Length > 0 && opts.Length < int64(len(data)) {
		data = data[:opts.Length]
	}
	return reader{bytes.NewReader(data)}, o.Info, nil
}

// Stat implements [driver.Driver].
func (d *Driver) Stat(ctx context.Context, key string) (driver.Info, error) {
	o, err := d.get(ctx, "stat", key)
	if err != nil {
		return driver.Info{}, err
	}
	return o.Info, nil
}

func (d *Driver) get(ctx context.Context, op, key string) (*object, error) {
	if err := check(ctx, op, key); err != nil {
		return nil, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	o := d.index.get(key)
	if o == nil {
		return nil, failure(op, key, driver.ErrNotExist)
	}
	return o, nil
}

// Put implements [driver.Driver]. It ignores PutOptions.Durability.
func (d *Driver) Put(ctx context.Context, key string, body io.Reader, opts *driver.PutOptions) (driver.Info, error) {
	if opts == nil {
		opts = &driver.PutOptions{}
	}
	if err := check(ctx, "put", key); err != nil {
		return driver.Info{}, err
	}
	if opts.IfAbsent && opts.IfVersion != "" {
		return driver.Info{}, failure("put", key, fs.ErrInvalid)
	}
	// Most conditions that fail, fail here, before the body is read. The check in store decides.
	d.mu.RLock()
	err := checkConditions(d.index.get(key), opts)
	d.mu.RUnlock()
	if err != nil {
		return driver.Info{}, failure("put", key, err)
	}
	data, err := d.read(ctx, body, opts.Size)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		var info driver.Info
		if info, err = d.store(key, data, opts); err == nil {
			return info, nil
		}
	}
	d.release(int64(len(data)))
	return driver.Info{}, failure("put", key, err)
}

// store makes data, whose bytes are reserved, the object at key.
func (d *Driver) store(key string, data []byte, opts *driver.PutOptions) (driver.Info, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := checkConditions(d.index.get(key), opts); err != nil {
		return driver.Info{}, err
	}
	d.last++
	o := &object{
		Info: driver.Info{
			Key: strings.Clone(key), Size: int64(len(data)), ModTime: time.Now(), Version: strconv.FormatUint(d.last, 36),
		},
		data: data,
	}
	if old := d.index.set(o); old != nil {
		d.used -= old.Size
	}
	return o.Info, nil
}

// checkConditions checks the conditions of opts on the present object, which is nil if there is
// none.
func checkConditions(o *object, opts *driver.PutOptions) error {
	switch {
	case opts.IfAbsent && o != nil:
		return driver.ErrExist
	case opts.IfVersion != "" && (o == nil || o.Version != opts.IfVersion):
		return driver.ErrChanged
	}
	return nil
}

// Delete implements [driver.Driver].
func (d *Driver) Delete(ctx context.Context, key, ifVersion string) error {
	if err := check(ctx, "delete", key); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.index.get(key)
	if o == nil {
		return failure("delete", key, driver.ErrNotExist)
	}
	if ifVersion != "" && o.Version != ifVersion {
		return failure("delete", key, driver.ErrChanged)
	}
	d.index.remove(key)
	d.used -= o.Size
	return nil
}

// List implements [driver.Driver].
func (d *Driver) List(ctx context.Context, prefix string, opts *driver.ListOptions) iter.Seq2[driver.Info, error] {
	if opts == nil {
		opts = &driver.ListOptions{}
	}
	return func(yield func(driver.Info, error) bool) {
		if !driver.ValidPrefix(prefix) {
			yield(driver.Info{}, failure("list", prefix, driver.ErrKey))
			return
		}
		// A page is copied under the lock and yielded without it, so that the consumer may call any
		// method.
		page := make([]*object, 0, pageSize(opts.PageHint))
		after := opts.After
		for {
			if err := ctx.Err(); err != nil {
				yield(driver.Info{}, err)
				return
			}
			d.mu.RLock()
			page = d.index.page(page[:0], prefix, after)
			d.mu.RUnlock()
			for _, o := range page {
				if !yield(o.Info, nil) {
					return
				}
			}
			if len(page) < cap(page) {
				return
			}
			after = page[len(page)-1].Key
		}
	}
}

// pageSize returns the number of objects that List copies at once: what the caller expects, within
// bounds.
func pageSize(hint int) int {
	if hint <= 0 {
		return 256
	}
	return min(hint+1, 1024)
}

// MaxObjectSize implements [driver.Driver].
func (d *Driver) MaxObjectSize() int64 { return d.maxObject }

// Sync implements [driver.Driver]. It does nothing: no object survives a loss of power.
func (d *Driver) Sync(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := check(ctx, "sync", key); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func check(ctx context.Context, op, key string) error {
	if !driver.ValidKey(key) {
		return failure(op, key, driver.ErrKey)
	}
	return ctx.Err()
}

func failure(op, key string, err error) error {
	return &fs.PathError{Op: "memory: " + op, Path: key, Err: err}
}

// reader is the reader that Open returns. Its bytes never change.
type reader struct{ *bytes.Reader }

func (reader) Close() error { return nil }
