package gocloud

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/registrykit/registry/storage/driver"
)

// local is the engine for a local bucket: fileblob if files is not nil, memblob otherwise.
type local struct {
	bucket *blob.Bucket
	prefix string
	locks  *Locks
	files  *files
}

// contentType is the media type of all objects. Setting it keeps gocloud.dev from detecting it from
// the content.
const contentType = "application/octet-stream"

func (l *local) name(key string) string {
	if l.files != nil {
		return l.prefix + fileName(key)
	}
	return l.prefix + objectName(key)
}

func (l *local) maxObjectSize() int64 { return 0 }

func (l *local) failure(err error) error { return classify(err) }

// localInfo returns the Info of an object. The version consists of time and size, see Locks.
func localInfo(key string, t time.Time, size int64) driver.Info {
	version := strconv.FormatInt(t.UnixNano(), 36) + "-" + strconv.FormatInt(size, 36)
	return driver.Info{Key: key, Size: size, ModTime: t, Version: version}
}

// readStable calls read, and once more under the lock of the name if that fails for another reason
// than a missing object: fileblob replaces an object and the file of its metadata in two steps.
func (l *local) readStable(name string, read func() error) error {
	err := read()
	if err == nil || l.files == nil || isMissing(err) {
		return err
	}
	defer l.locks.unlock(l.locks.lock(name))
	return read()
}

// isMissing reports whether an error means that there is no object.
func isMissing(err error) bool {
	return errors.Is(err, driver.ErrNotExist) || gcerrors.Code(err) == gcerrors.NotFound
}

func (l *local) stat(ctx context.Context, key string) (info driver.Info, err error) {
	name := l.name(key)
	err = l.readStable(name, func() error {
		info, err = l.statLocked(ctx, key, name)
		return err
	})
	return info, err
}

// statLocked is stat for callers that hold the lock of the name.
func (l *local) statLocked(ctx context.Context, key, name string) (driver.Info, error) {
	if l.files != nil {
		if err := l.files.regular(name); err != nil {
			return driver.Info{}, err
		}
	}
	a, err := l.bucket.Attributes(ctx, name)
	if err != nil {
		return driver.Info{}, err
	}
	return localInfo(key, a.ModTime, a.Size), nil
}

func (l *local) open(ctx context.Context, key string, opts *driver.OpenOptions) (body io.ReadCloser,
	info driver.Info, err error) {
	length := int64(-1)
	if opts.Length > 0 && l.files == nil {
		length = opts.Length
	}
	name := l.name(key)
	var r *blob.Reader
	err = l.readStable(name, func() error {
		if l.files != nil {
			if err := l.files.regular(name); err != nil {
				return err
			}
		}
		r, err = l.bucket.NewRangeReader(ctx, name, opts.Offset, length, nil)
		return err
	})
	if err != nil {
		return nil, info, err
	}
	if l.files == nil {
		return reader{r}, localInfo(key, r.ModTime(), r.Size()), nil
	}
	// The attributes in r are those that fileblob read before it opened the file, which may have
	// been replaced since.
	var source io.Reader
	_ = r.As(&source)
	f, ok := source.(*os.File)
	if !ok {
		return nil, info, errors.Join(errors.New("fileblob has not opened a file"), r.Close())
	}
	st, err := f.Stat()
	if err != nil {
		return nil, info, errors.Join(err, r.Close())
	}
	return &file{f, r}, localInfo(key, st.ModTime(), st.Size()), nil
}

// reader hides two methods of a blob.Reader: WriteTo, which allocates 1 MiB, and Seek, after which
// it may read from another object.
type reader struct{ r *blob.Reader }

func (r reader) Read(p []byte) (int, error) { return r.r.Read(p) }

func (r reader) Close() error { return r.r.Close() }

// file is an object of fileblob. It embeds its os.File so that the kernel can send it without a
// copy.
type file struct {
	*os.File
	r *blob.Reader
}

// Close closes the reader, and the file with it.
func (f *file) Close() error { return f.r.Close() }

func (l *local) put(ctx context.Context, key string, from io.Reader, opts *driver.PutOptions) (driver.Info, error) {
	// Most conditions that fail, fail here, before the body is read. The check in write decides.
	if err := checkConditions(opts, func() (driver.Info, error) { return l.stat(ctx, key) }); err != nil {
		return driver.Info{}, err
	}
	name := l.name(key)
	return l.write(ctx, key, name, from, func() error {
		return checkConditions(opts, func() (driver.Info, error) { return l.statLocked(ctx, key, name) })
	})
}

// checkConditions checks the conditions of opts on the object that stat describes.
func checkConditions(opts *driver.PutOptions, stat func() (driver.Info, error)) error {
	if !opts.IfAbsent && opts.IfVersion == "" {
		return nil
	}
	info, err := stat()
	absent := isMissing(err)
	switch {
	case err != nil && !absent:
		return err
	case opts.IfAbsent && !absent:
		return driver.ErrExist
	case opts.IfVersion != "" && (absent || info.Version != opts.IfVersion):
		return driver.ErrChanged
	}
	return nil
}

// write stores the bytes of from, unless allowed returns an error. write calls allowed when from
// has ended, and locks the name from then on until the object is stored. This works because memblob
// and fileblob write in step with reading.
func (l *local) write(ctx context.Context, key, name string, from io.Reader, allowed func() error) (info driver.Info,
	err error) {
	var lock *shard
	defer func() {
		if lock != nil {
			l.locks.unlock(lock)
		}
	}()
	var temp *os.File
	var stamp time.Time
	wctx, b := newBody(ctx, from, func() error {
		lock = l.locks.lock(name)
		if err := allowed(); err != nil {
			return err
		}
		if l.files == nil {
			lock.wait()
			return nil
		}
		stamp = lock.stamp()
		return os.Chtimes(temp.Name(), stamp, stamp)
	})
	err = b.finish(l.bucket.Upload(wctx, name, b, &blob.WriterOptions{
		ContentType: contentType,
		BeforeWrite: func(as func(any) bool) error {
			if as(&temp) || l.files == nil {
				return nil
			}
			return errors.New("fileblob does not show the file it writes")
		},
	}))
	if err != nil {
		return driver.Info{}, err
	}
	if l.files != nil {
		return localInfo(key, stamp, b.size), nil
	}
	if info, err = l.statLocked(ctx, key, name); err != nil {
		return driver.Info{}, err
	}
	lock.last = info.ModTime.UnixNano()
	return info, nil
}

func (l *local) remove(ctx context.Context, key, ifVersion string) error {
	name := l.name(key)
	defer l.locks.unlock(l.locks.lock(name))
	// This is needed without a condition, too: only a regular file is an object.
	info, err := l.statLocked(ctx, key, name)
	if err != nil {
		return err
	}
	if ifVersion != "" && info.Version != ifVersion {
		return driver.ErrChanged
	}
	return l.bucket.Delete(ctx, name)
}

func (l *local) list(ctx context.Context, prefix string, opts *driver.ListOptions,
	yield func(driver.Info) bool) error {
	if l.files != nil {
		return l.files.list(ctx, prefix, opts, yield)
	}
	p := pager{
		bucket: l.bucket, prefix: l.prefix, most: mostLocal, stall: -1,
		info: func(key string, o *blob.ListObject) driver.Info { return localInfo(key, o.ModTime, o.Size) },
	}
	return p.list(ctx, prefix, opts, yield)
}

// probe finds out whether the times of objects differ between versions. The times of memblob are
// those of the clock of this process, to the nanosecond; the times of fileblob are those that write
// sets. A store on the network has neither.
func (l *local) probe(ctx context.Context) (err error) {
	// No key has a name like this, so it is in no list.
	name := l.prefix + "=probe=" + strings.ToLower(rand.Text())
	defer func() {
		if derr := l.bucket.Delete(context.WithoutCancel(ctx), name); gcerrors.Code(derr) != gcerrors.NotFound {
			err = errors.Join(err, derr)
		}
	}()
	for range 3 {
		before := time.Now()
		info, err := l.write(ctx, "", name, strings.NewReader("probe"), func() error { return nil })
		if err != nil {
			return fmt.Errorf("gocloud: writing to the bucket: %w", err)
		}
		there, err := l.statLocked(ctx, "", name)
		if err != nil {
			return fmt.Errorf("gocloud: reading from the bucket: %w", err)
		}
		if l.files != nil {
			if there.Version != info.Version {
				return fmt.Errorf("gocloud: the file system does not keep times of files: %w", errors.ErrUnsupported)
			}
			return l.files.probe(name)
		}
		t := there.ModTime
		if !t.Before(before.Round(0)) && !t.After(time.Now().Round(0)) && t.UnixNano()%int64(time.Millisecond) != 0 {
			return nil
		}
	}
	return fmt.Errorf("gocloud: none of Options.Providers recognizes this bucket, and its versions cannot be compared: %w",
		errors.ErrUnsupported)
}
