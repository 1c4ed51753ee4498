// Package bucket opens the data of a CNCF registry in a bucket (Amazon S3, Google Cloud Storage, Azure, or
// a directory), for package importer.
//
//	b, err := blob.OpenBucket(ctx, "s3://registry?region=eu-central-1")
//	...
//	src, err := bucket.Open(ctx, b, "", "s3://registry")
//	report, err := importer.Run(ctx, store, driver, src, nil)
//
// If the new registry is in the same bucket, below another prefix, pass the same *blob.Bucket to
// gocloud.New: the store then copies the layers by itself.
package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/registrykit/registry/importer"
	"github.com/registrykit/registry/storage/gocloud"
)

// Open returns the data of the old registry in a bucket, which the caller still owns and closes. prefix
// is the option rootdirectory of the old registry; "" if it has none. name names the source in reports
// and is the default of importer.Options.ID: for example its URL, without secrets.
//
// Errors: an error if there is nothing below docker/registry/v2.
func Open(ctx context.Context, b *blob.Bucket, prefix, name string) (importer.Source, error) {
	if b == nil {
		return nil, errors.New("importer: the bucket is nil")
	}
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	s := &source{bucket: b, prefix: prefix + "docker/registry/v2/", name: name}
	for _, err := range s.List(ctx, "repositories") {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("importer: %s holds no data of a registry: there is nothing below %srepositories", name, s.prefix)
		}
		if err != nil {
			return nil, err
		}
		break
	}
	return s, nil
}

// source implements [importer.Source].
type source struct {
	bucket *blob.Bucket
	prefix string
	name   string
}

func (s *source) String() string { return s.name }

// Close does nothing: the bucket belongs to the caller.
func (s *source) Close() error { return nil }

// List implements [importer.Source]. It makes one request for each thousand entries.
func (s *source) List(ctx context.Context, dir string) iter.Seq2[importer.Entry, error] {
	return func(yield func(importer.Entry, error) bool) {
		prefix, any := s.prefix+dir+"/", false
		for it := s.bucket.List(&blob.ListOptions{Prefix: prefix, Delimiter: "/"}); ; {
			o, err := it.Next(ctx)
			if errors.Is(err, io.EOF) {
				if !any {
					yield(importer.Entry{}, fmt.Errorf("%s: %w", dir, fs.ErrNotExist))
				}
				return
			}
			if err != nil {
				yield(importer.Entry{}, s.failure(dir, err))
				return
			}
			any = true
			e := importer.Entry{Name: strings.TrimSuffix(strings.TrimPrefix(o.Key, prefix), "/")}
			if o.IsDir {
				e.Type = fs.ModeDir
			}
			if e.Name == "" && !o.IsDir {
				continue // the marker of an empty directory, as some tools write it
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// ReadFile implements [importer.Source] with one request.
func (s *source) ReadFile(ctx context.Context, name string, limit int64) ([]byte, time.Time, error) {
	r, err := s.bucket.NewReader(ctx, s.prefix+name, nil)
	if err != nil {
		return nil, time.Time{}, s.failure(name, err)
	}
	defer func() { _ = r.Close() }()
	if r.Size() > limit {
		return nil, time.Time{}, fmt.Errorf("%w: %d bytes", importer.ErrTooLarge, r.Size())
	}
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = importer.ErrTooLarge
	}
	return b, r.ModTime(), err
}

// Open implements [importer.Source]. It makes one request, and another one at the first Read.
func (s *source) Open(ctx context.Context, name string) (*importer.File, error) {
	a, err := s.bucket.Attributes(ctx, s.prefix+name)
	if err != nil {
		return nil, s.failure(name, err)
	}
	return &importer.File{
		ReadCloser: &lazy{ctx: ctx, s: s, name: name, size: a.Size}, Size: a.Size,
		Adoptable: gocloud.Object{Bucket: s.bucket, Name: s.prefix + name, Size: a.Size},
	}, nil
}

// failure returns an error of the bucket as one that package importer knows.
func (s *source) failure(name string, err error) error {
	if gcerrors.Code(err) == gcerrors.NotFound {
		return fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return err
}

// lazy opens an object at the first Read.
type lazy struct {
	ctx  context.Context
	s    *source
	name string
	size int64
	r    *blob.Reader
}

// Read implements [io.Reader].
func (l *lazy) Read(p []byte) (int, error) {
	if l.r == nil {
		r, err := l.s.bucket.NewReader(l.ctx, l.s.prefix+l.name, nil)
		if err != nil {
			return 0, l.s.failure(l.name, err)
		}
		if l.r = r; r.Size() != l.size {
			return 0, fmt.Errorf("%s has changed its size", l.name)
		}
	}
	return l.r.Read(p)
}

// Close implements [io.Closer].
func (l *lazy) Close() error {
	if l.r == nil {
		return nil
	}
	return l.r.Close()
}
