// Package s3 lets [gocloud.Driver] work on a bucket of gocloud.dev/blob/s3blob: Amazon S3, and
// whatever speaks its protocol with conditional writes.
//
// The bucket is opened as gocloud.dev says; the provider then goes to the store through the same
// client:
//
//	bucket, err := blob.OpenBucket(ctx, "s3://my-bucket?region=eu-central-1")
//	driver, err := gocloud.New(ctx, bucket, &gocloud.Options{Providers: []gocloud.Provider{s3.Provider(nil)}})
//
// # What is asked of the store
//
// [gocloud.New] tries out, on an object of its own, whether the store honours If-None-Match and
// If-Match of a PUT, without which it refuses the bucket, and If-Match of a DELETE. A store that
// ignores the latter (MinIO does) would remove whatever is there, and one that reports success
// where there is nothing (versitygw does) would tell two callers that each has removed the object.
// On such stores a removal that depends on a version writes a tombstone instead, see
// [gocloud.Tombstoner].
//
// It also asks for an object that is not there: if the answer to a HEAD has the header
// X-Amz-Request-Id, one without it is not the store's, but of a proxy that has lost it. Lists need
// ListObjectsV2, so not UseLegacyList of s3blob.
//
// Credentials need s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload on the
// objects, and s3:ListBucket on the bucket: without that S3 answers 403 for an object that is not
// there, and nobody can tell that from a refusal.
//
// The version of an object is its ETag. In a bucket that keeps versions, each change leaves one
// behind; a lifecycle rule has to remove noncurrent versions, and delete markers that are alone.
//
// # Writes
//
// What fits one part, by [gocloud.Parts], is one PutObject. What does not is a multipart upload,
// all of whose parts but the last have the same size, and whose condition is checked when it is
// completed. One that fails is aborted; what the end of the process leaves is invisible and costs
// money until a lifecycle rule (AbortIncompleteMultipartUpload, 1 day) removes it. Nothing is ever
// copied.
//
// Each upload takes a buffer as large as the part it is filling; that of the first part grows with
// what has come, from 32 KiB on. The length that a client has declared makes it smaller, never
// larger. What has been filled is sent while the next is filled, as far as Options.ReadAhead allows
// buffers for that; an upload that gets none waits. So the memory is that of one part for each
// upload, and ReadAhead for all of them together.
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

	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/internal/parts"
)

// DefaultReadAhead is the value of Options.ReadAhead if that is zero, in bytes.
const DefaultReadAhead = parts.DefaultReadAhead

// Options are the options of [Provider]. nil is the zero Options.
type Options struct {
	// ReadAhead is how many bytes of parts may be on their way to the store while the next are
	// filled, of all uploads together. Default: DefaultReadAhead; negative: none.
	ReadAhead int64
	// BeforeWrite, unless nil, is called before each request that creates an object, and may change
	// it: storage class, server-side encryption, tags. as gives the request, a *s3.PutObjectInput
	// or a *s3.CreateMultipartUploadInput of the SDK, to the pointer that fits. An error fails the
	// write.
	BeforeWrite func(as func(any) bool) error
}

// Provider returns a [gocloud.Provider] for buckets of s3blob. opts may be nil. It may be used for
// several buckets, which then share Options.ReadAhead.
func Provider(opts *Options) gocloud.Provider {
	var o Options
	if opts != nil {
		o = *opts
	}
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

// store is a [gocloud.Store].
type store struct {
	client *awss3.Client
	bucket string
	memory *parts.Memory
	before func(as func(any) bool) error

	putsTombstones   bool   // no DELETE is conditional
	tombstoneVersion string // the version that tombstones have, "" if it differs
	sendsRequestID   bool   // its answers have the id of the request, also those of HEAD
}

var (
	_ gocloud.Store      = (*store)(nil)
	_ gocloud.Prober     = (*store)(nil)
	_ gocloud.Tombstoner = (*store)(nil)
	_ gocloud.Ranger     = (*store)(nil)
)

// errNamed ends a read before it is sent.
var errNamed = errors.New("s3: the bucket has told its name")

// bucketName returns the name that s3blob uses, which it tells only in requests.
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
		return "", errors.New("s3: s3blob does not tell the name of the bucket")
	}
	return name, nil
}

// Version implements [gocloud.Store]. Where the length is missing the client says 0.
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
	if answer, ok := awsmiddleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response); !ok ||
		answer.StatusCode != http.StatusNoContent {
		return errNotFromStore
	}
	return nil
}

// conditions are those of a write, nil where there are none.
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
