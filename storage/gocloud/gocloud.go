package gocloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strings"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage/driver"
)

// Options are the options of [New]. The zero value is ready to use on a local bucket.
type Options struct {
	// Prefix is put before the names of all objects, so that several registries can share a bucket.
	// It satisfies [driver.ValidPrefix] and contains neither ".." nor "__". No registry may use a
	// prefix that begins with the prefix of another one, so none may use "" in a shared bucket.
	// Default: "".
	Prefix string
	// Providers are asked in order whether they know the bucket; the first that does is used.
	// Default: none, which is enough for local buckets.
	Providers []Provider
	// Locks keep the conditions on a local bucket. Drivers on the same objects must share them.
	// Default: new Locks.
	Locks *Locks
	// Parts is the size and number of the parts in which a Provider uploads. Default: the defaults
	// of Parts.
	Parts Parts
	// StallTimeout is how long a request to a store on the network may make no progress before it
	// fails with [driver.ErrUnavailable]. Time spent waiting for the body of a Put does not count.
	// A part of an upload is one step, so a part must be sent within this time. Default:
	// DefaultStallTimeout. Negative means no limit.
	StallTimeout time.Duration
}

// Driver is a [driver.Driver] on a bucket.
type Driver struct {
	bucket *blob.Bucket
	engine engine
}

var (
	_ driver.Driver    = (*Driver)(nil)
	_ driver.URLSigner = (*Driver)(nil)
	_ driver.Sweeper   = (*Driver)(nil)
)

// engine does the work of a Driver. Its options are never nil and its keys are valid. The Driver
// classifies the errors that it returns.
type engine interface {
	name(key string) string
	open(ctx context.Context, key string, opts *driver.OpenOptions) (io.ReadCloser, driver.Info, error)
	stat(ctx context.Context, key string) (driver.Info, error)
	put(ctx context.Context, key string, body io.Reader, opts *driver.PutOptions) (driver.Info, error)
	remove(ctx context.Context, key, ifVersion string) error
	list(ctx context.Context, prefix string, opts *driver.ListOptions, yield func(driver.Info) bool) error
	maxObjectSize() int64
	failure(err error) error
}

// New returns a Driver on bucket, which the caller still owns and closes. opts may be nil. On a
// local bucket, New writes and removes an object to find out whether versions differ there. On a
// store, the Provider may do something similar, see [Prober].
//
// Errors: [errors.ErrUnsupported] if conditions cannot be kept on the bucket, because it needs a
// Provider or another file system; [driver.ErrKey] if Options.Prefix is invalid.
func New(ctx context.Context, bucket *blob.Bucket, opts *Options) (*Driver, error) {
	o := options.Value(opts)
	if bucket == nil {
		return nil, errors.New("gocloud: no bucket")
	}
	if !driver.ValidPrefix(o.Prefix) || strings.Contains(o.Prefix, "..") || strings.Contains(o.Prefix, "__") {
		return nil, fmt.Errorf("gocloud: the prefix %q does not end in \"/\", or has a part that no key has: %w", o.Prefix,
			driver.ErrKey)
	}
	if err := o.Parts.check(); err != nil {
		return nil, err
	}
	if o.StallTimeout == 0 {
		o.StallTimeout = DefaultStallTimeout
	}
	for _, provider := range o.Providers {
		store, err := provider(ctx, bucket)
		if err != nil {
			return nil, fmt.Errorf("gocloud: %w", err)
		}
		if store != nil {
			if p, ok := store.(Prober); ok {
				if err := p.Probe(ctx, o.Prefix); err != nil {
					return nil, fmt.Errorf("gocloud: %w", err)
				}
			}
			return &Driver{bucket, &remote{bucket: bucket, prefix: o.Prefix, store: store, parts: o.Parts,
				stall: o.StallTimeout, tombstones: newTombstones(store)}}, nil
		}
	}
	if o.Locks == nil {
		o.Locks = NewLocks()
	}
	l := &local{bucket: bucket, prefix: o.Prefix, locks: o.Locks}
	var info os.FileInfo
	if bucket.As(&info) {
		root, err := fileRoot(ctx, bucket)
		if err != nil {
			return nil, err
		}
		l.files = &files{root: root, prefix: o.Prefix, locks: o.Locks}
	}
	if err := l.probe(ctx); err != nil {
		return nil, err
	}
	return &Driver{bucket, l}, nil
}

// Open implements [driver.Driver]. On fileblob the reader embeds an [os.File].
func (d *Driver) Open(ctx context.Context, key string, opts *driver.OpenOptions) (io.ReadCloser, driver.Info, error) {
	if opts == nil {
		opts = &driver.OpenOptions{}
	}
	if err := check(ctx, key); err != nil {
		return nil, driver.Info{}, d.failure("open", key, err)
	}
	if opts.Offset < 0 || opts.Length < 0 {
		return nil, driver.Info{}, d.failure("open", key, fs.ErrInvalid)
	}
	r, info, err := d.engine.open(ctx, key, opts)
	if err != nil {
		return nil, info, d.failure("open", key, err)
	}
	if opts.IfNotVersion != "" && opts.IfNotVersion == info.Version {
		_ = r.Close() // nothing was read
		return nil, info, d.failure("open", key, driver.ErrNotModified)
	}
	return r, info, nil
}

// Stat implements [driver.Driver].
func (d *Driver) Stat(ctx context.Context, key string) (driver.Info, error) {
	if err := check(ctx, key); err != nil {
		return driver.Info{}, d.failure("stat", key, err)
	}
	info, err := d.engine.stat(ctx, key)
	return info, d.failure("stat", key, err)
}

// Put implements [driver.Driver]. It ignores PutOptions.Durability, see Sync.
func (d *Driver) Put(ctx context.Context, key string, body io.Reader, opts *driver.PutOptions) (driver.Info, error) {
	if opts == nil {
		opts = &driver.PutOptions{}
	}
	if err := check(ctx, key); err != nil {
		return driver.Info{}, d.failure("put", key, err)
	}
	if opts.IfAbsent && opts.IfVersion != "" {
		return driver.Info{}, d.failure("put", key, fs.ErrInvalid)
	}
	info, err := d.engine.put(ctx, key, body, opts)
	return info, d.failure("put", key, err)
}

// Delete implements [driver.Driver].
func (d *Driver) Delete(ctx context.Context, key, ifVersion string) error {
	if err := check(ctx, key); err != nil {
		return d.failure("delete", key, err)
	}
	return d.failure("delete", key, d.engine.remove(ctx, key, ifVersion))
}

// List implements [driver.Driver].
func (d *Driver) List(ctx context.Context, prefix string, opts *driver.ListOptions) iter.Seq2[driver.Info, error] {
	if opts == nil {
		opts = &driver.ListOptions{}
	}
	return func(yield func(driver.Info, error) bool) {
		err := ctx.Err()
		if !driver.ValidPrefix(prefix) {
			err = driver.ErrKey
		}
		if err == nil {
			err = d.engine.list(ctx, prefix, opts, func(info driver.Info) bool { return yield(info, nil) })
		}
		if err != nil {
			yield(driver.Info{}, d.failure("list", prefix, err))
		}
	}
}

// MaxObjectSize implements [driver.Driver].
func (d *Driver) MaxObjectSize() int64 { return d.engine.maxObjectSize() }

// Sync implements [driver.Driver]. It does nothing: a store on the network acknowledges a write
// once it is durable, and a local bucket never makes anything durable.
func (d *Driver) Sync(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := check(ctx, key); err != nil {
			return d.failure("sync", key, err)
		}
	}
	return ctx.Err()
}

// SignedURL implements [driver.URLSigner]. It returns [errors.ErrUnsupported] if the bucket cannot
// sign.
func (d *Driver) SignedURL(ctx context.Context, key string, expiry time.Duration) (string, error) {
	if err := check(ctx, key); err != nil {
		return "", d.failure("sign", key, err)
	}
	if expiry <= 0 {
		return "", d.failure("sign", key, fs.ErrInvalid)
	}
	opts := &blob.SignedURLOptions{Expiry: expiry}
	if m, ok := d.engine.(*remote); ok {
		if s, ok := m.store.(Signer); ok {
			opts.BeforeSign = s.BeforeSign
		}
	}
	url, err := d.bucket.SignedURL(ctx, d.engine.name(key), opts)
	if gcerrors.Code(err) == gcerrors.Unimplemented {
		err = fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return url, d.failure("sign", key, err)
}

func check(ctx context.Context, key string) error {
	if !driver.ValidKey(key) {
		return driver.ErrKey
	}
	return ctx.Err()
}
