// Package azure provides a [gocloud.Provider] for containers of gocloud.dev/blob/azureblob: Azure
// Blob Storage.
//
// Open the container as gocloud.dev describes. The Provider reaches the service through the same
// client:
//
//	bucket, err := blob.OpenBucket(ctx, "azblob://my-container")
//	driver, err := gocloud.New(ctx, bucket, &gocloud.Options{Providers: []gocloud.Provider{azure.Provider(nil)}})
//
// The version of an object is its ETag, which no two states of an object share. Conditions are
// If-Match and If-None-Match, which the service checks in the step that changes the blob.
// Credentials need permission to read, write, delete and list blobs, as in the role Storage Blob
// Data Contributor.
//
// # Writes
//
// A body that fits one part, see [gocloud.Parts], is one Put Blob. A larger body is staged in up to
// 10,000 blocks of one size, and becomes visible with the list of its blocks if the condition
// holds. The blocks of a failed write are never visible, and the service removes them after a week.
// Memory is bounded as in the package s3.
//
// The client repeats a request that fails for a reason that may pass, as its own options say. If
// the response to a conditional write is lost, the condition of the second attempt fails.
// [storage.Store] then recognizes its own object by a nonce.
//
// [storage.Store]: https://pkg.go.dev/github.com/registrykit/registry/storage#Store
package azure

import (
	"context"
	"fmt"
	"io"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	cloudblob "gocloud.dev/blob"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/internal/parts"
)

// DefaultReadAhead is the default of Options.ReadAhead, in bytes.
const DefaultReadAhead = parts.DefaultReadAhead

// Options are the options of [Provider]. The zero value is ready to use.
type Options struct {
	// ReadAhead is the maximum size of all parts that are sent to the service while their uploads
	// fill the next part, in bytes. It is shared by all uploads. Default: DefaultReadAhead.
	// Negative means none.
	ReadAhead int64
	// BeforeWrite is called before each request that creates an object. It may set the access tier,
	// encryption scope, metadata or tags, but must not change AccessConditions. as stores the
	// options of the request in a pointer of the right type: that of a *blockblob.UploadOptions or
	// of a *blockblob.CommitBlockListOptions of the SDK. An error fails the write. Default: nil, no
	// changes.
	BeforeWrite func(as func(any) bool) error
}

// Provider returns a [gocloud.Provider] for containers of azureblob. opts may be nil. Several
// containers may use the same Provider; they then share Options.ReadAhead.
func Provider(opts *Options) gocloud.Provider {
	o := options.Value(opts)
	memory := parts.NewMemory(o.ReadAhead)
	return func(_ context.Context, bucket *cloudblob.Bucket) (gocloud.Store, error) {
		var client *container.Client
		if !bucket.As(&client) {
			return nil, nil
		}
		return &store{client: client, memory: memory, before: o.BeforeWrite}, nil
	}
}

// store implements [gocloud.Store].
type store struct {
	client *container.Client
	memory *parts.Memory
	before func(as func(any) bool) error
}

var _ gocloud.Ranger = (*store)(nil)

// Version implements [gocloud.Store]. It checks the length because azureblob reports a missing
// length as 0.
func (s *store) Version(as func(any) bool) string {
	var get blob.DownloadStreamResponse
	var head blob.GetPropertiesResponse
	var listed container.BlobItem
	switch {
	case as(&get) && get.ContentLength != nil:
		return version(get.ETag)
	case as(&head) && head.ContentLength != nil:
		return version(head.ETag)
	case as(&listed) && listed.Properties != nil:
		return version(listed.Properties.ETag)
	}
	return ""
}

// version returns an ETag in the form of the header, with quotes. Lists have it without quotes.
func version(tag *azcore.ETag) string {
	if tag == nil || *tag == "" {
		return ""
	}
	v := string(*tag)
	if v[0] != '"' {
		v = `"` + v + `"`
	}
	return v
}

// conditions returns the conditions of a change, or nil if there are none.
func conditions(ifAbsent bool, ifVersion string) *blob.AccessConditions {
	modified := &blob.ModifiedAccessConditions{}
	switch {
	case ifAbsent:
		any := azcore.ETagAny
		modified.IfNoneMatch = &any
	case ifVersion != "":
		tag := azcore.ETag(ifVersion)
		modified.IfMatch = &tag
	default:
		return nil
	}
	return &blob.AccessConditions{ModifiedAccessConditions: modified}
}

// ContentRange implements [gocloud.Ranger].
func (s *store) ContentRange(as func(any) bool) string {
	var get blob.DownloadStreamResponse
	if !as(&get) || get.ContentRange == nil {
		return ""
	}
	return *get.ContentRange
}

// BeforeRead implements [gocloud.Store]. It sets no condition, because azureblob v0.46.0 panics on
// a response with status 304. The Driver compares the versions, and the objects that it reads on a
// condition are small.
func (s *store) BeforeRead(func(any) bool, string) error { return nil }

// BeforeList implements [gocloud.Store]. startFrom is inclusive. A service that does not know it
// lists from the beginning.
func (s *store) BeforeList(as func(any) bool, after string) error {
	var opts *container.ListBlobsHierarchyOptions
	if as(&opts) && opts.Marker == nil && after != "" {
		opts.StartFrom = &after
	}
	return nil
}

// errNotFromStore is returned when something other than the service has responded, such as a proxy.
var errNotFromStore = fmt.Errorf("azure: this is not a response of the service: %w", driver.ErrUnavailable)

// Delete implements [gocloud.Store] with one request.
func (s *store) Delete(ctx context.Context, name, ifVersion string) error {
	out, err := s.client.NewBlobClient(name).Delete(ctx,
		&blob.DeleteOptions{AccessConditions: conditions(false, ifVersion)})
	if err == nil && out.RequestID == nil {
		return errNotFromStore
	}
	return err
}

// MaxObjectSize implements [gocloud.Store].
func (s *store) MaxObjectSize(p gocloud.Parts) int64 { return p.ObjectSize() }

// Put implements [gocloud.Store].
func (s *store) Put(ctx context.Context, name string, body io.Reader, opts *gocloud.PutOptions) (gocloud.Written,
	error) {
	u := newUpload(s, name, opts)
	version, err := parts.Upload(ctx, s.memory, body, opts.Parts.PartSize(), opts.Size, u)
	return gocloud.Written{Version: version, ModTime: u.modified}, err
}
