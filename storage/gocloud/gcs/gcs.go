package gcs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	cloud "cloud.google.com/go/storage"
	"gocloud.dev/blob"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/gocloud"
)

// Options are the options of [Provider]. The zero value is ready to use.
type Options struct {
	// Writer is called with the writer of each object before any byte is written. It may set the
	// storage class, the KMS key, metadata and timeouts. It must not change ChunkSize, nor the
	// metadata that is already set. It must be safe for concurrent use. Default: nil, no changes.
	Writer func(*cloud.Writer)
	// Sign is called with the options of each URL before it is signed. It must be safe for
	// concurrent use. Default: nil, no changes.
	Sign func(*cloud.SignedURLOptions)
	// Attempts is the maximum number of times that a request is sent. The pauses between attempts
	// are random, up to 0.2, 0.4, 0.8 … and at most 5 seconds. A part of an upload also fails after
	// 32 seconds. Default: DefaultAttempts.
	Attempts int
}

// DefaultAttempts is the default of Options.Attempts.
const DefaultAttempts = 6

// Provider returns a [gocloud.Provider] for buckets of gcsblob. opts may be nil. [gocloud.New] then
// sets how the client of the bucket repeats requests, so call New before the client is used
// elsewhere.
func Provider(opts *Options) gocloud.Provider {
	o := options.Value(opts)
	if o.Attempts <= 0 {
		o.Attempts = DefaultAttempts
	}
	return func(ctx context.Context, bucket *blob.Bucket) (gocloud.Store, error) {
		var client *cloud.Client
		if !bucket.As(&client) {
			return nil, nil
		}
		name, prefix, err := bucketName(ctx, bucket)
		if err != nil {
			return nil, err
		}
		client.SetRetry(cloud.WithMaxAttempts(o.Attempts), cloud.WithBackoff(backoff))
		return &store{opts: o, bucket: client.Bucket(name), prefix: prefix}, nil
	}
}

// bucketName returns the name of the bucket, and the prefix of the names of its objects if it is a
// blob.PrefixedBucket. Only the handle of an object shows them, so bucketName prepares a read and
// does not send it.
func bucketName(ctx context.Context, bucket *blob.Bucket) (name, prefix string, err error) {
	const probe = "x"
	var handle **cloud.ObjectHandle
	notSent := errors.New("gcs: not sent")
	r, err := bucket.NewRangeReader(ctx, probe, 0, 1, &blob.ReaderOptions{BeforeRead: func(as func(any) bool) error {
		as(&handle)
		return notSent
	}})
	if err == nil {
		_ = r.Close() // nothing was read
	}
	if handle == nil || !errors.Is(err, notSent) {
		return "", "", fmt.Errorf("gcs: the bucket does not show its name: %w", err)
	}
	return (*handle).BucketName(), strings.TrimSuffix((*handle).ObjectName(), probe), nil
}

// store implements [gocloud.Store].
type store struct {
	opts   Options
	bucket *cloud.BucketHandle
	prefix string
}

var _ gocloud.Signer = (*store)(nil)

func (s *store) object(name string) *cloud.ObjectHandle { return s.bucket.Object(s.prefix + name) }

// Version implements [gocloud.Store].
func (s *store) Version(as func(any) bool) string {
	var attrs cloud.ObjectAttrs
	if as(&attrs) {
		return version(attrs.Generation)
	}
	var r *cloud.Reader
	if as(&r) {
		return version(r.Attrs.Generation)
	}
	return ""
}

// version returns a generation as a version, or "" if the response has none.
func version(generation int64) string {
	if generation <= 0 {
		return ""
	}
	return strconv.FormatInt(generation, 10)
}

// generation is the inverse of version. Errors: driver.ErrChanged if no object has the version.
func generation(version string) (int64, error) {
	n, err := strconv.ParseInt(version, 10, 64)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("%w: no generation: %q", driver.ErrChanged, version)
	}
	return n, nil
}

// BeforeRead implements [gocloud.Store]. It sets no condition, because the client has none for
// reads by the XML API, the only one that reports when an object was stored. The Driver compares
// the versions, and the objects that it reads on a condition are small.
func (s *store) BeforeRead(func(any) bool, string) error { return nil }

// BeforeList implements [gocloud.Store].
func (s *store) BeforeList(as func(any) bool, after string) error {
	var query *cloud.Query
	if !as(&query) {
		return errors.New("gcs: the list does not show its query")
	}
	if after != "" {
		query.StartOffset = s.prefix + after // inclusive
	}
	return query.SetAttrSelection([]string{"Name", "Size", "Updated", "Generation"})
}

// BeforeSign implements [gocloud.Signer].
func (s *store) BeforeSign(as func(any) bool) error {
	var opts *cloud.SignedURLOptions
	if !as(&opts) {
		return errors.New("gcs: the signer does not show its options")
	}
	opts.Scheme = cloud.SigningSchemeV4
	if s.opts.Sign != nil {
		s.opts.Sign(opts)
	}
	return nil
}

// Delete implements [gocloud.Store].
func (s *store) Delete(ctx context.Context, name, ifVersion string) error {
	t := s.attempts()
	o := s.object(name).Retryer(cloud.WithErrorFunc(t.retry))
	if ifVersion != "" {
		g, err := generation(ifVersion)
		if err != nil {
			return err
		}
		// Not o.Generation(g): where old generations are kept that would remove one of them.
		o = o.If(cloud.Conditions{GenerationMatch: g})
	}
	err := o.Delete(ctx)
	if t.unsure && (code(err) == codeNotFound || code(err) == codeCondition) {
		return unknownOutcome(err) // the object is gone, and it may have been us
	}
	return err
}
