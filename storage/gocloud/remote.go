package gocloud

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/registrykit/registry/storage"
)

// remote is the engine for a bucket that a Provider knows.
type remote struct {
	bucket *blob.Bucket
	prefix string
	store  Store
	parts  Parts
}

func (m *remote) name(key string) string { return m.prefix + objectName(key) }

// seconds returns a time as headers of answers have it: lists tell it more exactly than reads.
func seconds(t time.Time) time.Time { return t.Truncate(time.Second) }

func (m *remote) failure(err error) error {
	if sorted(err) {
		return err
	}
	var failed *bodyError
	if errors.As(err, &failed) {
		return err
	}
	if known := m.store.Failure(err); known != nil {
		return known
	}
	return portable(err)
}

func (m *remote) stat(ctx context.Context, key string) (storage.Info, error) {
	a, err := m.bucket.Attributes(ctx, m.name(key))
	if err != nil {
		return storage.Info{}, err
	}
	return storage.Info{Key: key, Size: a.Size, ModTime: seconds(a.ModTime), Version: m.store.Version(a.As)}, nil
}

func (m *remote) open(ctx context.Context, key string, opts *storage.OpenOptions) (io.ReadCloser, storage.Info, error) {
	length := int64(-1)
	if opts.Length > 0 {
		length = opts.Length
	}
	var before *blob.ReaderOptions
	if opts.IfNotVersion != "" {
		before = &blob.ReaderOptions{BeforeRead: func(as func(any) bool) error { return m.store.BeforeRead(as, opts.IfNotVersion) }}
	}
	r, err := m.bucket.NewRangeReader(ctx, m.name(key), opts.Offset, length, before)
	if err == nil {
		return reader{r}, storage.Info{Key: key, Size: r.Size(), ModTime: seconds(r.ModTime()), Version: m.store.Version(r.As)}, nil
	}
	err = m.failure(err)
	modified := !errors.Is(err, storage.ErrNotModified)
	if modified && (opts.Offset == 0 && length < 0 || sorted(err)) {
		return nil, storage.Info{}, err
	}
	// A range that begins at the end or behind it is refused, and what has not been modified is not described.
	info, serr := m.stat(ctx, key)
	switch {
	case serr != nil:
		return nil, storage.Info{}, serr
	case !modified && info.Version == opts.IfNotVersion:
		return nil, info, storage.ErrNotModified
	case !modified: // it has been meanwhile
		unconditional := *opts
		unconditional.IfNotVersion = ""
		return m.open(ctx, key, &unconditional)
	case opts.Offset >= info.Size:
		return io.NopCloser(bytes.NewReader(nil)), info, nil
	}
	return nil, storage.Info{}, err
}

func (m *remote) put(ctx context.Context, key string, from io.Reader, opts *storage.PutOptions) (storage.Info, error) {
	wctx, b := newBody(ctx, from, nil)
	w, err := m.store.Put(wctx, m.name(key), b, &PutOptions{
		IfAbsent: opts.IfAbsent, IfVersion: opts.IfVersion, Size: max(opts.Size, 0), Parts: m.parts, ContentType: contentType,
	})
	if err = b.finish(err); err != nil {
		return storage.Info{}, conditionFailed(m.failure(err), opts.IfAbsent, opts.IfVersion != "")
	}
	return storage.Info{Key: key, Size: b.size, ModTime: seconds(w.ModTime), Version: w.Version}, nil
}

// conditionFailed gives the failure of a condition the name it has for a Put.
func conditionFailed(err error, ifAbsent, ifVersion bool) error {
	failed := gcerrors.Code(err) == gcerrors.FailedPrecondition || errors.Is(err, storage.ErrChanged)
	switch {
	case ifAbsent && failed:
		return &lost{storage.ErrExist, err}
	case ifVersion && (failed || errors.Is(err, storage.ErrNotExist)):
		return &lost{storage.ErrChanged, err}
	}
	return err
}

// lost is the failure of a condition. The cause is kept for the log, but is no longer what the error is.
type lost struct{ is, cause error }

func (e *lost) Error() string { return e.is.Error() + ": " + e.cause.Error() }

func (e *lost) Unwrap() error { return e.is }

func (m *remote) remove(ctx context.Context, key, ifVersion string) error {
	err := m.store.Delete(ctx, m.name(key), ifVersion)
	if err == nil {
		return nil
	}
	return conditionFailed(m.failure(err), false, ifVersion != "")
}

func (m *remote) list(ctx context.Context, prefix string, opts *storage.ListOptions, yield func(storage.Info) bool) error {
	p := pager{
		bucket: m.bucket, prefix: m.prefix, most: perPage, before: m.store.BeforeList,
		info: func(key string, o *blob.ListObject) storage.Info {
			return storage.Info{Key: key, Size: o.Size, ModTime: seconds(o.ModTime), Version: m.store.Version(o.As)}
		},
	}
	return p.list(ctx, prefix, opts, yield)
}
