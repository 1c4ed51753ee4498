// Package azure lets [gocloud.Driver] work on a container of gocloud.dev/blob/azureblob: Azure Blob
// Storage.
//
// The container is opened as gocloud.dev says; the provider then goes to the service through the
// same client:
//
//	bucket, err := blob.OpenBucket(ctx, "azblob://my-container")
//	driver, err := gocloud.New(ctx, bucket, &gocloud.Options{Providers: []gocloud.Provider{azure.Provider(nil)}})
//
// The version of an object is its ETag, which no two states of it share. Conditions are If-Match
// and If-None-Match, which the service checks in the step that changes the blob. Credentials need
// to read, write, delete and list blobs (the role Storage Blob Data Contributor has that).
//
// # Writes
//
// What fits one part, by [gocloud.Parts], is one Put Blob. What does not is staged in blocks of one
// size, up to 10,000 of them, and becomes visible, if the condition holds, with the list of its
// blocks. The blocks of a write that has failed are never visible, and the service drops them after
// a week.
//
// Each upload takes a buffer as large as the part it is filling; that of the first part grows with
// what has come, from 32 KiB on. The length that a client has declared makes it smaller, never
// larger. What has been filled is sent while the next is filled, as far as Options.ReadAhead allows
// buffers for that; an upload that gets none waits.
//
// A request that fails with what may pass is sent again by the client, as often as its own options
// say. Where the answer to a conditional write was lost, the second attempt fails the condition;
// [storage.Store] sees by a nonce that what is there is its own.
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

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/internal/parts"
)

// DefaultReadAhead is the value of Options.ReadAhead if that is zero, in bytes.
const DefaultReadAhead = parts.DefaultReadAhead

// Options are the options of [Provider]. nil is the zero Options.
type Options struct {
	// ReadAhead is how many bytes of parts may be on their way to the service while the next are
	// filled, of all uploads together. Default: DefaultReadAhead; negative: none.
	ReadAhead int64
	// BeforeWrite, unless nil, is called before each request that creates an object, and may change
	// it: access tier, encryption scope, metadata, tags. as gives the options of the request, a
	// *blockblob.UploadOptions or a *blockblob.CommitBlockListOptions of the SDK, to the pointer
	// that fits; AccessConditions must be left alone. An error fails the write.
	BeforeWrite func(as func(any) bool) error
}

// Provider returns a [gocloud.Provider] for containers of azureblob. opts may be nil. It may be
// used for several containers, which then share Options.ReadAhead.
func Provider(opts *Options) gocloud.Provider {
	var o Options
	if opts != nil {
		o = *opts
	}
	memory := parts.NewMemory(o.ReadAhead)
	return func(_ context.Context, bucket *cloudblob.Bucket) (gocloud.Store, error) {
		var client *container.Client
		if !bucket.As(&client) {
			return nil, nil
		}
		return &store{client: client, memory: memory, before: o.BeforeWrite}, nil
	}
}

// store is a [gocloud.Store].
type store struct {
	client *container.Client
	memory *parts.Memory
	before func(as func(any) bool) error
}

var _ gocloud.Ranger = (*store)(nil)

// Version implements [gocloud.Store]. Where the length is missing azureblob says 0.
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

// version returns an ETag as headers have it: in lists it has no quotes.
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

// conditions are those of a change, nil if there are none.
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

// BeforeRead implements [gocloud.Store]. It sets no condition: azureblob v0.46.0 panics on the
// answer 304. The Driver compares, and what is read with a version is small.
func (s *store) BeforeRead(func(any) bool, string) error { return nil }

// BeforeList implements [gocloud.Store]. A service that does not know startFrom, which is
// inclusive, lists from the beginning.
func (s *store) BeforeList(as func(any) bool, after string) error {
	var opts *container.ListBlobsHierarchyOptions
	if as(&opts) && opts.Marker == nil && after != "" {
		opts.StartFrom = &after
	}
	return nil
}

// errNotFromStore is that something else has answered, such as a proxy.
var errNotFromStore = fmt.Errorf("azure: this is no answer of the service: %w", driver.ErrUnavailable)

// Delete implements [gocloud.Store], in one request.
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
