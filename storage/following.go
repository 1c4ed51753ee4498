package storage

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
)

// FollowUpload is what every upload of a [Store] offers beyond [registry.Upload], for a mirror that
// serves a blob while it arrives.
type FollowUpload interface {
	registry.Upload

	// Digest returns the digest of the bytes received so far, by the algorithm of the upload. It
	// reads nothing.
	Digest() (digest.Digest, error)

	// Snapshot returns what has been received so far. The result stays as it is when the upload
	// goes on, and may be used by any number of goroutines.
	Snapshot() Snapshot

	// Refresh reads the state of the upload from the storage, to see what another process has
	// appended.
	//
	// Errors: registry.ErrUploadUnknown if the upload has been committed or cancelled.
	Refresh(ctx context.Context) error
}

// Snapshot is a state of an upload.
type Snapshot interface {
	// Size is the number of bytes.
	Size() int64
	// Open returns a reader of the bytes. It opens nothing before the first Read. A Read fails with
	// an error that wraps driver.ErrNotExist if the bytes have been merged into a larger segment or
	// dropped since; the caller then takes a newer Snapshot, or opens the blob.
	Open(ctx context.Context) io.ReadSeekCloser
}
