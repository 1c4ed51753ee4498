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

// local is the engine for a bucket of this process: memblob or, if files is not nil, fileblob.
type local struct {
	bucket *blob.Bucket
	prefix string
	locks  *Locks
	files  *files
}

// contentType is what all objects have. Naming it keeps gocloud.dev from looking into them.
const contentType = "application/octet-stream"

func (l *local) name(key string) string {
	if l.files != nil {
		return l.prefix + fileName(key)
	}
	return l.prefix + objectName(key)
}

func (l *local) maxObjectSize() int64 { return 0 }

func (l *local) failure(err error) error { return classify(err) }

// localInfo returns the Info of an object. Its version is its time and its size, see Locks.
func localInfo(key string, t time.Time, size int64) driver.Info {
	version := strconv.FormatInt(t.UnixNano(), 36) + "-" + strconv.FormatInt(size, 36)
	return driver.Info{Key: key, Size: size, ModTime: t, Version: version}
}

// readStable calls read once more, under the lock of the name, if it failed otherwise than because
// nothing is there: fileblob replaces an object and the file that holds its metadata one after the
// other.
func (l *local) readStable(name string, read func() error) error {
	err := read()
	if err == nil || l.files == nil || isMissing(err) {
		return err
	}
	defer l.locks.unlock(l.locks.lock(name))
	return read()
}

// isMissing reports whether an error says that there is no object.
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

// statLocked is stat of a name, for callers that hold its lock.
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
	// What fileblob tells of the object it looked up before it opened the file, which may be
	// another one.
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

// reader hides that a blob.Reader is an io.WriterTo, which allocates 1 MiB, and an io.Seeker, which
// may read on in another object.
type reader struct{ r *blob.Reader }

func (r reader) Read(p []byte) (int, error) { return r.r.Read(p) }

func (r reader) Close() error { return r.r.Close() }

// file is an object of fileblob. It has what an os.File has, so that it can be sent without a copy.
type file struct {
	*os.File
	r *blob.Reader
}

// Close closes the reader, and the file with it.
func (f *file) Close() error { return f.r.Close() }

func (l *local) put(ctx context.Context, key string, from io.Reader, opts *driver.PutOptions) (driver.Info, error) {
	// Most who lose a condition lose it here, before their body is read. The decision is the one in
	// write.
	if err := checkConditions(opts, func() (driver.Info, error) { return l.stat(ctx, key) }); err != nil {
		return driver.Info{}, err
	}
	name := l.name(key)
	return l.write(ctx, key, name, from, func() error {
		return checkConditions(opts, func() (driver.Info, error) { return l.statLocked(ctx, key, name) })
	})
}

// checkConditions checks the conditions of opts on the object that stat tells of.
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

// write stores what from holds, if allowed says so once it has been read. From then on until it is
// stored the name is locked. What writes to memblob and fileblob does it in step with reading.
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
	// Also without a condition: only a file is an object.
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

// probe finds out whether the times of objects tell versions apart: those of memblob are of the
// clock of this process, to the nanosecond, and those of fileblob are the ones it is told. A store
// on the network has neither.
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
	return fmt.Errorf("gocloud: this is a store on the network: none of Options.Providers knows it, and versions cannot be told apart: %w",
		errors.ErrUnsupported)
}
