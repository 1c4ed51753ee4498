package gocloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"gocloud.dev/blob"

	"github.com/registrykit/registry/storage/driver"
)

// remote is the engine for a bucket that a Provider knows.
type remote struct {
	bucket     *blob.Bucket
	prefix     string
	store      Store
	parts      Parts
	stall      time.Duration // see Options.StallTimeout
	tombstones *tombstones   // nil if the store deletes on conditions
}

func (m *remote) name(key string) string { return m.prefix + objectName(key) }

// seconds returns a time as headers of answers have it: lists tell it more exactly than reads.
func seconds(t time.Time) time.Time { return t.Truncate(time.Second) }

// failure sorts an error as the Store does. The codes of gocloud.dev are not asked: s3blob takes
// any error for NotFound whose text has "301" in it, be it in the id of a request.
func (m *remote) failure(err error) error {
	if isClassified(err) {
		return err
	}
	var failed *bodyError
	if errors.As(err, &failed) {
		return err
	}
	if known := m.store.Failure(err); known != nil {
		return known
	}
	return err
}

func (m *remote) maxObjectSize() int64 { return m.store.MaxObjectSize(m.parts) }

func (m *remote) stat(ctx context.Context, key string) (driver.Info, error) {
	ctx, _, stop := newWatch(ctx, m.stall)
	defer stop()
	a, err := m.attributes(ctx, key)
	if err != nil {
		return driver.Info{}, stalled(ctx, err)
	}
	info := driver.Info{Key: key, Size: a.Size, ModTime: seconds(a.ModTime), Version: m.store.Version(a.As)}
	if err := checkComplete(info); err != nil {
		return driver.Info{}, err
	}
	if dead, err := m.isTombstone(ctx, info); err != nil {
		return driver.Info{}, err
	} else if dead {
		return driver.Info{}, errTombstone
	}
	return info, nil
}

func (m *remote) open(ctx context.Context, key string, opts *driver.OpenOptions) (io.ReadCloser, driver.Info, error) {
	length := int64(-1)
	if opts.Length > 0 {
		length = opts.Length
	}
	var before *blob.ReaderOptions
	if opts.IfNotVersion != "" {
		before = &blob.ReaderOptions{BeforeRead: func(as func(any) bool) error {
			return m.store.BeforeRead(as,
				opts.IfNotVersion)
		}}
	}
	rctx, w, stop := newWatch(ctx, m.stall)
	r, err := m.reader(rctx, key, opts.Offset, length, before)
	w.pause()
	if err == nil {
		info := driver.Info{Key: key, Size: r.Size(), ModTime: seconds(r.ModTime()), Version: m.store.Version(r.As)}
		body := &watchedReader{reader{r}, rctx, w, stop, m.failure}
		err := checkComplete(info)
		if ranger, ok := m.store.(Ranger); ok && err == nil && !covers(ranger.ContentRange(r.As), info.Size, opts) {
			err = errWrongRange
		}
		if err != nil {
			return nil, driver.Info{}, errors.Join(err, body.Close())
		}
		if dead, err := m.isTombstoneBody(ctx, info, opts, body); err != nil {
			return nil, driver.Info{}, errors.Join(err, body.Close())
		} else if dead {
			return nil, driver.Info{}, errors.Join(errTombstone, body.Close())
		}
		return body, info, nil
	}
	err = m.failure(stalled(rctx, err))
	stop()
	modified := !errors.Is(err, driver.ErrNotModified)
	if !modified && opts.IfNotVersion == "" {
		return nil, driver.Info{}, fmt.Errorf("%w: an answer to a condition that was not asked: %s",
			driver.ErrUnavailable, err.Error())
	}
	if modified && (opts.Offset == 0 && length < 0 || isClassified(err)) {
		return nil, driver.Info{}, err
	}
	// A range that begins at the end or behind it is refused, and what has not been modified is not
	// described.
	info, serr := m.stat(ctx, key)
	switch {
	case serr != nil:
		return nil, driver.Info{}, serr
	case !modified && info.Version == opts.IfNotVersion:
		return nil, info, driver.ErrNotModified
	case !modified: // it has been meanwhile
		unconditional := *opts
		unconditional.IfNotVersion = ""
		return m.open(ctx, key, &unconditional)
	case opts.Offset >= info.Size:
		return io.NopCloser(bytes.NewReader(nil)), info, nil
	}
	return nil, driver.Info{}, err
}

func (m *remote) put(ctx context.Context, key string, from io.Reader, opts *driver.PutOptions) (driver.Info, error) {
	if m.tombstones == nil || !opts.IfAbsent {
		return m.write(ctx, key, from, opts)
	}
	// Where there is a tombstone there is nothing, but to the store it is an object. What is small
	// is written first and tried again in its place; the body of what is not can be read only once,
	// so it is asked before.
	if from == nil || opts.Size > 0 && opts.Size <= maxReplay {
		if from == nil {
			from = bytes.NewReader(nil)
		}
		content, err := io.ReadAll(io.LimitReader(from, maxReplay+1))
		if err != nil {
			return driver.Info{}, &bodyError{err}
		}
		if len(content) <= maxReplay {
			info, err := m.write(ctx, key, bytes.NewReader(content), opts)
			if !errors.Is(err, driver.ErrExist) {
				return info, err
			}
			version, berr := m.tombstoneVersion(ctx, key)
			if berr != nil || version == "" {
				return info, errors.Join(err, berr)
			}
			return m.replace(ctx, key, bytes.NewReader(content), opts, version)
		}
		from = io.MultiReader(bytes.NewReader(content), from)
	}
	version, err := m.tombstoneVersion(ctx, key)
	if err != nil {
		return driver.Info{}, err
	}
	if version != "" {
		return m.replace(ctx, key, from, opts, version)
	}
	return m.write(ctx, key, from, opts)
}

// replace writes in the place of a tombstone, if it is still one.
func (m *remote) replace(ctx context.Context, key string, from io.Reader, opts *driver.PutOptions,
	version string) (driver.Info, error) {
	o := *opts
	o.IfAbsent, o.IfVersion = false, version
	info, err := m.write(ctx, key, from, &o)
	if errors.Is(err, driver.ErrChanged) {
		err = &conditionError{driver.ErrExist, err}
	}
	return info, err
}

// write writes an object, on the conditions that the store checks.
func (m *remote) write(ctx context.Context, key string, from io.Reader, opts *driver.PutOptions) (driver.Info,
	error) {
	sctx, w, stop := newWatch(ctx, m.stall)
	defer stop()
	if from != nil {
		from = &limitedBody{watchedBody{from, w}, m.maxObjectSize()}
	}
	wctx, b := newBody(sctx, from, nil)
	written, err := m.store.Put(wctx, m.name(key), b, &PutOptions{
		IfAbsent: opts.IfAbsent, IfVersion: opts.IfVersion, Size: max(opts.Size, 0), Parts: m.parts, ContentType: contentType,
	})
	if err = stalled(sctx, b.finish(err)); err != nil {
		return driver.Info{}, conditionFailed(m.failure(err), opts.IfAbsent, opts.IfVersion != "")
	}
	if written.Version == "" {
		return driver.Info{}, errIncompleteResponse
	}
	return driver.Info{Key: key, Size: b.size, ModTime: seconds(written.ModTime), Version: written.Version}, nil
}

// isTombstoneBody is isTombstone for an object that is being read: as opts say, from body. What it reads of
// that is lost only if it is a tombstone.
func (m *remote) isTombstoneBody(ctx context.Context, info driver.Info, opts *driver.OpenOptions,
	body *watchedReader) (bool, error) {
	if m.tombstones == nil || m.tombstones.version != "" || info.Size != int64(len(m.tombstones.content)) || opts.Offset > 0 ||
		opts.Length > 0 {
		return m.isTombstone(ctx, info)
	}
	content, err := io.ReadAll(body)
	if err != nil {
		return false, err
	}
	body.r = readCloser{bytes.NewReader(content), body.r}
	return string(content) == m.tombstones.content, nil
}

// readCloser reads from one and closes another.
type readCloser struct {
	io.Reader
	io.Closer
}

// conditionFailed gives the failure of a condition the name it has for a Put.
func conditionFailed(err error, ifAbsent, ifVersion bool) error {
	failed := errors.Is(err, driver.ErrChanged)
	switch {
	case ifAbsent && failed:
		return &conditionError{driver.ErrExist, err}
	case ifVersion && (failed || errors.Is(err, driver.ErrNotExist)):
		return &conditionError{driver.ErrChanged, err}
	}
	return err
}

// conditionError is the failure of a condition. The cause is kept for the log, but is no longer what the
// error is.
type conditionError struct{ is, cause error }

func (e *conditionError) Error() string { return e.is.Error() + ": " + e.cause.Error() }

func (e *conditionError) Unwrap() error { return e.is }

func (m *remote) remove(ctx context.Context, key, ifVersion string) error {
	if m.tombstones != nil {
		return m.putTombstone(ctx, key, ifVersion)
	}
	ctx, _, stop := newWatch(ctx, m.stall)
	defer stop()
	err := stalled(ctx, m.store.Delete(ctx, m.name(key), ifVersion))
	if err == nil {
		return nil
	}
	return conditionFailed(m.failure(err), false, ifVersion != "")
}

// delete removes an object without a condition.
func (m *remote) delete(ctx context.Context, key string) error {
	ctx, _, stop := newWatch(ctx, m.stall)
	defer stop()
	return stalled(ctx, m.store.Delete(ctx, m.name(key), ""))
}

func (m *remote) pager() *pager {
	return &pager{
		bucket: m.bucket, prefix: m.prefix, most: perPage, before: m.store.BeforeList, stall: m.stall,
		info: func(key string, o *blob.ListObject) driver.Info {
			return driver.Info{Key: key, Size: o.Size, ModTime: seconds(o.ModTime), Version: m.store.Version(o.As)}
		},
	}
}

func (m *remote) list(ctx context.Context, prefix string, opts *driver.ListOptions,
	yield func(driver.Info) bool) error {
	p := m.pager()
	if m.tombstones == nil {
		return p.list(ctx, prefix, opts, yield)
	}
	var failed error
	err := p.list(ctx, prefix, opts, func(info driver.Info) bool {
		dead, err := m.isTombstone(ctx, info)
		if err != nil {
			failed = err
			return false
		}
		return dead || yield(info)
	})
	return errors.Join(failed, err)
}
