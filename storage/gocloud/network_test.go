package gocloud_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gocloud.dev/blob"
	blobdriver "gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/gocloud"
)

// networkBucket behaves like the bucket of a network store. Times are whole seconds, and ranges of
// empty objects are refused. "../" in names is escaped, and lists also unescape names that nobody
// has escaped. The bucket is its own client. Conditions are in the values that its hooks show.
type networkBucket struct {
	mu      sync.Mutex
	objects map[string]networkObject
	denied  string // deleting this key responds 403, which the driver reports as NotFound
	down    bool   // every request gets 503
	lists   int    // number of list requests
	last    int    // number of the last write
}

type networkObject struct {
	content []byte
	time    time.Time
	etag    string
}

// These types are the values that the hooks show.
type (
	readInput   struct{ ifNoneMatch string }
	listInput   struct{ startAfter string }
	writeInput  struct{ ifAbsent, etag, written string }
	networkETag string
)

// statusError is the error type of the SDK.
type statusError int

func (e statusError) Error() string { return "status " + strconv.Itoa(int(e)) }

func openNetwork(testing.TB) *blob.Bucket {
	return blob.NewBucket(&networkBucket{objects: map[string]networkObject{}})
}

func escape(s string) string { return strings.ReplaceAll(s, "../", "..__0x2f__") }

func unescape(s string) string {
	return strings.NewReplacer("__0x2f__", "/", "__0x41__", "A").Replace(s)
}

func (n *networkBucket) lock() error {
	n.mu.Lock()
	if n.down {
		n.mu.Unlock()
		return statusError(503)
	}
	return nil
}

func (n *networkBucket) get(name string) (networkObject, error) {
	if err := n.lock(); err != nil {
		return networkObject{}, err
	}
	defer n.mu.Unlock()
	o, ok := n.objects[escape(name)]
	if !ok {
		return o, statusError(404)
	}
	return o, nil
}

// set performs a conditional PUT.
func (n *networkBucket) set(name string, content []byte, in writeInput) (string, error) {
	if err := n.lock(); err != nil {
		return "", err
	}
	defer n.mu.Unlock()
	old, there := n.objects[escape(name)]
	switch {
	case in.ifAbsent != "" && there, in.etag != "" && there && old.etag != in.etag:
		return "", statusError(412)
	case in.etag != "" && !there:
		return "", statusError(404)
	}
	n.last++
	o := networkObject{content, time.Now().Truncate(time.Second), strconv.Itoa(n.last)}
	n.objects[escape(name)] = o
	return o.etag, nil
}

func (n *networkBucket) Close() error { return nil }

func (n *networkBucket) As(i any) bool {
	p, ok := i.(**networkBucket)
	if ok {
		*p = n
	}
	return ok
}

func (n *networkBucket) ErrorAs(err error, i any) bool { return errors.As(err, i) }

func (n *networkBucket) ErrorCode(err error) gcerrors.ErrorCode {
	var status statusError
	if errors.As(err, &status) && (status == 404 || status == 403 || status == 416 || status == 400) {
		return gcerrors.NotFound // s3blob does this for 416 and 400 if the request ID contains "301"
	}
	return gcerrors.Unknown
}

func (n *networkBucket) Attributes(_ context.Context, name string) (*blobdriver.Attributes, error) {
	o, err := n.get(name)
	if err != nil {
		return nil, err
	}
	return &blobdriver.Attributes{Size: int64(len(o.content)), ModTime: o.time, ETag: o.etag, AsFunc: o.as}, nil
}

func (o networkObject) as(i any) bool {
	p, ok := i.(*networkETag)
	if ok {
		*p = networkETag(o.etag)
	}
	return ok
}

func (n *networkBucket) NewRangeReader(_ context.Context, name string, offset, length int64,
	opts *blobdriver.ReaderOptions) (blobdriver.Reader, error) {
	var in readInput
	if opts.BeforeRead != nil {
		if err := opts.BeforeRead(func(i any) bool {
			p, ok := i.(**readInput)
			if ok {
				*p = &in
			}
			return ok
		}); err != nil {
			return nil, err
		}
	}
	o, err := n.get(name)
	if err != nil {
		return nil, err
	}
	if in.ifNoneMatch == o.etag {
		return nil, statusError(304)
	}
	part := o.content
	if offset > 0 || length >= 0 {
		if offset >= int64(len(part)) {
			return nil, statusError(416)
		}
		if part = part[offset:]; length >= 0 && length < int64(len(part)) {
			part = part[:length]
		}
	}
	return &networkReader{bytes.NewReader(part), o}, nil
}

type networkReader struct {
	*bytes.Reader
	o networkObject
}

func (r *networkReader) Close() error { return nil }

func (r *networkReader) Attributes() *blobdriver.ReaderAttributes {
	return &blobdriver.ReaderAttributes{Size: int64(len(r.o.content)), ModTime: r.o.time}
}

func (r *networkReader) As(i any) bool { return r.o.as(i) }

func (n *networkBucket) ListPaged(_ context.Context, opts *blobdriver.ListOptions) (*blobdriver.ListPage, error) {
	var in listInput
	if opts.BeforeList != nil {
		if err := opts.BeforeList(func(i any) bool {
			p, ok := i.(**listInput)
			if ok {
				*p = &in
			}
			return ok
		}); err != nil {
			return nil, err
		}
	}
	if err := n.lock(); err != nil {
		return nil, err
	}
	defer n.mu.Unlock()
	n.lists++
	after := escape(max(in.startAfter, string(opts.PageToken)))
	page := &blobdriver.ListPage{}
	for _, name := range slices.Sorted(maps.Keys(n.objects)) {
		if !strings.HasPrefix(name, escape(opts.Prefix)) || name <= after {
			continue
		}
		if len(page.Objects) == min(max(opts.PageSize, 1), 1000) {
			page.NextPageToken = []byte(page.Objects[len(page.Objects)-1].Key)
			break
		}
		o := n.objects[name]
		page.Objects = append(page.Objects, &blobdriver.ListObject{
			Key: unescape(name), Size: int64(len(o.content)), ModTime: o.time, AsFunc: o.as,
		})
	}
	return page, nil
}

func (n *networkBucket) NewTypedWriter(ctx context.Context, name, _ string,
	opts *blobdriver.WriterOptions) (blobdriver.Writer, error) {
	w := &networkWriter{n: n, ctx: ctx, name: name, in: &writeInput{}}
	if opts.BeforeWrite != nil {
		if err := opts.BeforeWrite(func(i any) bool {
			p, ok := i.(**writeInput)
			if ok {
				*p = w.in
			}
			return ok
		}); err != nil {
			return nil, err
		}
	}
	return w, nil
}

type networkWriter struct {
	bytes.Buffer
	n    *networkBucket
	ctx  context.Context
	name string
	in   *writeInput
}

func (w *networkWriter) Close() (err error) {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	w.in.written, err = w.n.set(w.name, w.Bytes(), *w.in)
	return err
}

func (n *networkBucket) Copy(_ context.Context, to, from string, _ *blobdriver.CopyOptions) error {
	o, err := n.get(from)
	if err == nil {
		_, err = n.set(to, o.content, writeInput{})
	}
	return err
}

func (n *networkBucket) Delete(_ context.Context, name string) error { return n.remove(name, "") }

func (n *networkBucket) remove(name, etag string) error {
	if err := n.lock(); err != nil {
		return err
	}
	defer n.mu.Unlock()
	if n.denied != "" && strings.HasSuffix(name, n.denied) {
		return statusError(403)
	}
	if o, there := n.objects[escape(name)]; etag != "" && (!there || o.etag != etag) {
		return statusError(412)
	} else if !there {
		return statusError(404)
	}
	delete(n.objects, escape(name))
	return nil
}

func (n *networkBucket) SignedURL(_ context.Context, name string, opts *blobdriver.SignedURLOptions) (string, error) {
	return "https://bucket.example/" + name + "?expires=" + opts.Expiry.String(), nil
}

// networkStore implements the store of a provider for a network store.
type networkStore struct {
	bucket *blob.Bucket
	client *networkBucket
}

// networkProvider is a [gocloud.Provider].
func networkProvider(_ context.Context, bucket *blob.Bucket) (gocloud.Store, error) {
	s := networkStore{bucket: bucket}
	if !bucket.As(&s.client) {
		return nil, nil
	}
	return s, nil
}

func (s networkStore) MaxObjectSize(p gocloud.Parts) int64 { return p.ObjectSize() }

func (s networkStore) Version(as func(any) bool) string {
	var etag networkETag
	as(&etag)
	return string(etag)
}

func (s networkStore) BeforeRead(as func(any) bool, ifNotVersion string) error {
	var in *readInput
	as(&in)
	in.ifNoneMatch = ifNotVersion
	return nil
}

func (s networkStore) BeforeList(as func(any) bool, after string) error {
	var in *listInput
	as(&in)
	in.startAfter = after
	return nil
}

func (s networkStore) Put(ctx context.Context, name string, body io.Reader,
	opts *gocloud.PutOptions) (gocloud.Written, error) {
	var in *writeInput
	err := s.bucket.Upload(ctx, name, body, &blob.WriterOptions{
		ContentType: opts.ContentType,
		BeforeWrite: func(as func(any) bool) error {
			as(&in)
			if in.etag = opts.IfVersion; opts.IfAbsent {
				in.ifAbsent = "*"
			}
			return nil
		},
	})
	if err != nil {
		return gocloud.Written{}, err
	}
	return gocloud.Written{Version: in.written, ModTime: time.Now().Truncate(time.Second)}, nil
}

func (s networkStore) Delete(_ context.Context, name, ifVersion string) error {
	return s.client.remove(name, ifVersion)
}

func (s networkStore) Failure(err error) error {
	var status statusError
	if !s.bucket.ErrorAs(err, &status) && !errors.As(err, &status) {
		return nil
	}
	switch status {
	case 304:
		return fmt.Errorf("%w: %w", driver.ErrNotModified, err)
	case 404:
		return fmt.Errorf("%w: %w", driver.ErrNotExist, err)
	case 412:
		return fmt.Errorf("%w: %w", driver.ErrChanged, err)
	case 503:
		return fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
	}
	return nil
}
