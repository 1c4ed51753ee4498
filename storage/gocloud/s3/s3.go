// Package s3 provides a [gocloud.Provider] for buckets of gocloud.dev/blob/s3blob: Amazon S3, and
// every store that speaks its protocol with conditional writes.
//
// Open the bucket as gocloud.dev describes. The Provider reaches the store through the same client:
//
//	bucket, err := blob.OpenBucket(ctx, "s3://my-bucket?region=eu-central-1")
//	driver, err := gocloud.New(ctx, bucket, &gocloud.Options{Providers: []gocloud.Provider{s3.Provider(nil)}})
//
// # What the store must support
//
// [gocloud.New] probes the store with an object of its own. It rejects the bucket unless a PUT
// honours If-None-Match and If-Match. It also probes If-Match of a DELETE. Some stores ignore it
// (MinIO) and would remove any version; others report success for a missing object (versitygw) and
// would let two callers both believe that they removed it. On such stores a conditional delete
// writes a tombstone instead, see [gocloud.Tombstoner].
//
// New also asks for a missing object. If the response to that HEAD has the header X-Amz-Request-Id,
// a later response without the header cannot come from the store, but from a proxy in front of it.
// Lists need ListObjectsV2, so s3blob's UseLegacyList must be off.
//
// Credentials need s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload on the
// objects, and s3:ListBucket on the bucket. Without s3:ListBucket, S3 responds with 403 for a
// missing object, which cannot be distinguished from a refusal.
//
// The version of an object is its ETag. In a bucket with versioning, each change leaves an old
// version behind. Such a bucket needs a lifecycle rule that removes noncurrent versions and expired
// delete markers.
//
// # Writes
//
// A body that fits one part, see [gocloud.Parts], is one PutObject. A larger body is a multipart
// upload, whose condition the store checks on completion. A failed upload is aborted. An upload
// that the end of the process interrupts is invisible, but costs money until a lifecycle rule
// (AbortIncompleteMultipartUpload, 1 day) removes it. Nothing is ever copied.
//
// # Memory
//
// Each upload holds one buffer of the size of a part. The buffer of the first part starts at 32 KiB
// and grows with the bytes that arrive. The declared length can make a buffer smaller, never
// larger. While a full part is sent, the upload fills the next one, as long as all such parts
// together stay within Options.ReadAhead; otherwise the upload waits. So the memory is one part for
// each upload, plus ReadAhead for all uploads together.
package s3

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"gocloud.dev/blob"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/internal/parts"
)

// DefaultReadAhead is the default of Options.ReadAhead, in bytes.
const DefaultReadAhead = parts.DefaultReadAhead

// Options are the options of [Provider]. The zero value is ready to use.
type Options struct {
	// ReadAhead is the maximum size of all parts that are sent to the store while their uploads
	// fill the next part, in bytes. It is shared by all uploads. Default: DefaultReadAhead.
	// Negative means none.
	ReadAhead int64
	// BeforeWrite is called before each request that creates an object. It may set the storage
	// class, server-side encryption or tags. as stores the request in a pointer of the right type:
	// that of a *s3.PutObjectInput or of a *s3.CreateMultipartUploadInput of the SDK. An error
	// fails the write. Default: nil, no changes.
	BeforeWrite func(as func(any) bool) error
}

// Provider returns a [gocloud.Provider] for buckets of s3blob. opts may be nil. Several buckets may
// use the same Provider; they then share Options.ReadAhead.
func Provider(opts *Options) gocloud.Provider {
	o := options.Value(opts)
	memory := parts.NewMemory(o.ReadAhead)
	return func(ctx context.Context, bucket *blob.Bucket) (gocloud.Store, error) {
		var client *awss3.Client
		if !bucket.As(&client) {
			return nil, nil
		}
		name, err := bucketName(ctx, bucket)
		if err != nil {
			return nil, err
		}
		return &store{client: client, bucket: name, memory: memory, before: o.BeforeWrite}, nil
	}
}

// store implements [gocloud.Store].
type store struct {
	client *awss3.Client
	bucket string
	memory *parts.Memory
	before func(as func(any) bool) error

	putsTombstones   bool   // the store has no conditional DELETE
	tombstoneVersion string // the version of all tombstones, "" if they differ
	sendsRequestID   bool   // even responses to HEAD have the header requestID
}

var (
	_ gocloud.Store      = (*store)(nil)
	_ gocloud.Prober     = (*store)(nil)
	_ gocloud.Tombstoner = (*store)(nil)
	_ gocloud.Ranger     = (*store)(nil)
	_ gocloud.Unmodifier = (*store)(nil)
)

// errNamed ends a read before it is sent, once its request has shown the name of the bucket.
var errNamed = errors.New("s3: the bucket has shown its name")

// bucketName returns the name of the bucket, which s3blob shows only in requests.
func bucketName(ctx context.Context, bucket *blob.Bucket) (string, error) {
	name := ""
	r, err := bucket.NewRangeReader(ctx, "name", 0, 1, &blob.ReaderOptions{BeforeRead: func(as func(any) bool) error {
		var in *awss3.GetObjectInput
		if as(&in) {
			name = aws.ToString(in.Bucket)
		}
		return errNamed
	}})
	if err == nil {
		_ = r.Close()
	}
	if name == "" {
		return "", errors.New("s3: s3blob does not show the name of the bucket")
	}
	return name, nil
}

// Version implements [gocloud.Store]. It checks the length because the client reports a missing
// length as 0.
func (s *store) Version(as func(any) bool) string {
	var get awss3.GetObjectOutput
	var head awss3.HeadObjectOutput
	var listed types.Object
	switch {
	case as(&get) && get.ContentLength != nil:
		return aws.ToString(get.ETag)
	case as(&head) && head.ContentLength != nil:
		return aws.ToString(head.ETag)
	case as(&listed):
		return aws.ToString(listed.ETag)
	}
	return ""
}

// ContentRange implements [gocloud.Ranger].
func (s *store) ContentRange(as func(any) bool) string {
	var get awss3.GetObjectOutput
	as(&get)
	return aws.ToString(get.ContentRange)
}

// BeforeRead implements [gocloud.Store].
func (s *store) BeforeRead(as func(any) bool, ifNotVersion string) error {
	var in *awss3.GetObjectInput
	if !as(&in) {
		return errors.New("s3: s3blob does not show its request")
	}
	in.IfNoneMatch = &ifNotVersion
	return nil
}

// UnmodifiedVersion implements [gocloud.Unmodifier].
func (s *store) UnmodifiedVersion(err error) string {
	var resp *smithyhttp.ResponseError
	if !errors.As(err, &resp) {
		return ""
	}
	return resp.Response.Header.Get("ETag")
}

// Delete implements [gocloud.Store], in one request.
func (s *store) Delete(ctx context.Context, name, ifVersion string) error {
	in := &awss3.DeleteObjectInput{Bucket: &s.bucket, Key: &name}
	if ifVersion != "" {
		in.IfMatch = &ifVersion
	}
	out, err := s.client.DeleteObject(ctx, in)
	if err != nil {
		return err
	}
	if resp, ok := awsmiddleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response); !ok ||
		resp.StatusCode != http.StatusNoContent {
		return errNotFromStore
	}
	return nil
}

// conditions returns the headers for the conditions of a write, or nil.
func conditions(opts *gocloud.PutOptions) (ifMatch, ifNoneMatch *string) {
	if opts.IfVersion != "" {
		ifMatch = &opts.IfVersion
	}
	if opts.IfAbsent {
		ifNoneMatch = aws.String("*")
	}
	return ifMatch, ifNoneMatch
}

// MaxObjectSize implements [gocloud.Store].
func (s *store) MaxObjectSize(p gocloud.Parts) int64 { return p.ObjectSize() }

// Put implements [gocloud.Store].
func (s *store) Put(ctx context.Context, name string, body io.Reader, opts *gocloud.PutOptions) (gocloud.Written,
	error) {
	version, err := parts.Upload(ctx, s.memory, body, opts.Parts.PartSize(), opts.Size,
		&upload{s: s, name: name, opts: opts})
	return gocloud.Written{Version: version}, err
}
