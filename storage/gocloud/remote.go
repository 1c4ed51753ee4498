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

// remote is the engine for a bucket that a Provider recognizes.
type remote struct {
	bucket     *blob.Bucket
	prefix     string
	store      Store
	parts      Parts
	stall      time.Duration // see Options.StallTimeout
	tombstones *tombstones   // nil if the store deletes on conditions
}

func (m *remote) name(key string) string { return m.prefix + objectName(key) }

// seconds returns a time with the precision of the headers of responses. Lists have a higher
// precision than reads, but both must agree.
func seconds(t time.Time) time.Time { return t.Truncate(time.Second) }

// failure classifies an error with the Store. It does not use the codes of gocloud.dev: s3blob
// reports NotFound for any error whose text contains "301", even in the id of a request.
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
	if opts.IfNotVersion == "" {
		return m.openRange(ctx, key, opts)
	}
	return m.openConditional(ctx, key, opts)
}

// openConditional opens an object unless it has the version opts.IfNotVersion.
func (m *remote) openConditional(ctx context.Context, key string, opts *driver.OpenOptions) (io.ReadCloser,
	driver.Info, error) {
	r, info, err := m.openRange(ctx, key, opts)
	if err == nil && info.Version == opts.IfNotVersion {
		// The store does not know conditional reads. Once a small body is read, its connection can
		// be used again.
		_, _ = io.CopyN(io.Discard, r, maxDiscard)
		_ = r.Close() // the bytes are of no use
		return nil, info, driver.ErrNotModified
	}
	if !errors.Is(err, driver.ErrNotModified) {
		return r, info, err
	}
	if u, ok := m.store.(Unmodifier); ok && u.UnmodifiedVersion(err) == opts.IfNotVersion {
		return nil, driver.Info{Key: key, Version: opts.IfNotVersion}, err
	}
	// A response with status 304 need not describe the object.
	if info, err = m.stat(ctx, key); err != nil {
		return nil, driver.Info{}, err
	}
	if info.Version == opts.IfNotVersion {
		return nil, info, driver.ErrNotModified
	}
	// The object has been replaced between the two requests.
	unconditional := *opts
	unconditional.IfNotVersion = ""
	return m.openRange(ctx, key, &unconditional)
}

// maxDiscard is how much of a body is read and discarded to keep its connection, in bytes.
const maxDiscard = 64 << 10

// openRange opens the part of an object that opts selects. Stores refuse a range that begins at the
// end of the object or after it; the contract of a Driver asks for an empty reader.
func (m *remote) openRange(ctx context.Context, key string, opts *driver.OpenOptions) (io.ReadCloser, driver.Info,
	error) {
	r, body, err := m.get(ctx, key, opts)
	whole := opts.Offset == 0 && opts.Length == 0
	switch {
	case err == nil:
		info, err := m.checkResponse(ctx, key, opts, r, body)
		if err != nil {
			return nil, driver.Info{}, errors.Join(err, body.Close())
		}
		return body, info, nil
	case errors.Is(err, driver.ErrNotModified) && opts.IfNotVersion == "":
		return nil, driver.Info{}, fmt.Errorf("%w: status 304 in response to an unconditional request: %s",
			driver.ErrUnavailable, err.Error())
	case whole || isClassified(err):
		return nil, driver.Info{}, err
	}
	info, serr := m.stat(ctx, key)
	switch {
	case serr != nil:
		return nil, driver.Info{}, serr
	case opts.Offset >= info.Size:
		return io.NopCloser(bytes.NewReader(nil)), info, nil
	}
	return nil, driver.Info{}, err
}

// get sends the request of an Open. It returns the response twice: as the blob.Reader that describes
// it, and as the body to read, whose Close ends the request. Its errors are classified.
func (m *remote) get(ctx context.Context, key string, opts *driver.OpenOptions) (*blob.Reader, *watchedReader,
	error) {
	length := int64(-1)
	if opts.Length > 0 {
		length = opts.Length
	}
	var before *blob.ReaderOptions
	if opts.IfNotVersion != "" {
		before = &blob.ReaderOptions{BeforeRead: func(as func(any) bool) error {
			return m.store.BeforeRead(as, opts.IfNotVersion)
		}}
	}
	ctx, w, stop := newWatch(ctx, m.stall)
	r, err := m.reader(ctx, key, opts.Offset, length, before)
	w.pause()
	if err != nil {
		defer stop()
		return nil, nil, m.failure(stalled(ctx, err))
	}
	return r, &watchedReader{reader{r}, ctx, w, stop, m.failure}, nil
}

// checkResponse returns the Info of an object that is being read, if the response is complete, has
// the bytes that opts select, and is not a tombstone.
func (m *remote) checkResponse(ctx context.Context, key string, opts *driver.OpenOptions, r *blob.Reader,
	body *watchedReader) (driver.Info, error) {
	info := driver.Info{Key: key, Size: r.Size(), ModTime: seconds(r.ModTime()), Version: m.store.Version(r.As)}
	if err := checkComplete(info); err != nil {
		return driver.Info{}, err
	}
	if ranger, ok := m.store.(Ranger); ok && !covers(ranger.ContentRange(r.As), info.Size, opts) {
		return driver.Info{}, errWrongRange
	}
	dead, err := m.isTombstoneBody(ctx, info, opts, body)
	if err == nil && dead {
		err = errTombstone
	}
	return info, err
}

func (m *remote) put(ctx context.Context, key string, from io.Reader, opts *driver.PutOptions) (driver.Info, error) {
	if m.tombstones == nil || !opts.IfAbsent {
		return m.write(ctx, key, from, opts)
	}
	// A tombstone counts as a missing object, but to the store it is an object. A small body is
	// written first, and a second time over the tombstone if there is one. A large body can be read
	// only once, so the Driver looks for a tombstone before it writes.
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

// write puts an object on conditions that the store checks.
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

// conditionFailed returns the error that a Put or Delete reports for a condition that failed.
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

// conditionError is the failure of a condition. It mentions the cause for the log and does not wrap
// it, so that errors.Is finds only the outcome.
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
