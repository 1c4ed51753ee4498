package gocloud

import (
	"context"
	"fmt"

	"gocloud.dev/blob"

	"github.com/registrykit/registry/storage/driver"
)

// errIncompleteResponse is returned when a response lacks what every response of the store has. A
// proxy in front of the store may have sent it. The Driver must not use it: a change on the
// condition of an empty version would be unconditional, and an object without a time would look old
// enough to be collected.
var errIncompleteResponse = fmt.Errorf("gocloud: the response does not describe the object: %w", driver.ErrUnavailable)

// checkComplete returns errIncompleteResponse if the store has not sent the version, the time or
// the size.
func checkComplete(info driver.Info) error {
	if info.Version == "" || info.ModTime.IsZero() || info.Size < 0 {
		return errIncompleteResponse
	}
	return nil
}

// errWrongRange is returned when the response has other bytes than the request selected.
var errWrongRange = fmt.Errorf("gocloud: the response does not have the requested bytes: %w", driver.ErrUnavailable)

// covers reports whether a response has all the bytes that opts selects, given its Content-Range
// and the size of the object.
func covers(contentRange string, size int64, opts *driver.OpenOptions) bool {
	first, last, end := int64(0), size-1, size
	if contentRange != "" {
		if n, err := fmt.Sscanf(contentRange, "bytes %d-%d/%d", &first, &last, &end); n < 3 || err != nil {
			return false
		}
	}
	if opts.Length > 0 && opts.Length < end-opts.Offset {
		end = opts.Offset + opts.Length
	}
	return first == opts.Offset && last >= end-1
}

// recoverPanic turns a panic of the bucket's driver into an error: azureblob panics when a response
// lacks a header that the service always sends.
func recoverPanic(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", errIncompleteResponse, p)
	}
}

func (m *remote) attributes(ctx context.Context, key string) (_ *blob.Attributes, err error) {
	defer recoverPanic(&err)
	return m.bucket.Attributes(ctx, m.name(key))
}

func (m *remote) reader(ctx context.Context, key string, offset, length int64,
	opts *blob.ReaderOptions) (_ *blob.Reader, err error) {
	defer recoverPanic(&err)
	return m.bucket.NewRangeReader(ctx, m.name(key), offset, length, opts)
}
