package gocloud

import (
	"context"
	"fmt"

	"gocloud.dev/blob"

	"github.com/registrykit/registry/storage/driver"
)

// errIncompleteResponse is that an answer lacks what every answer of the store has. Whoever stands before
// it may have answered. Without a version, what is done on the condition of it is done on none;
// without a time, an object is as old as can be.
var errIncompleteResponse = fmt.Errorf("gocloud: the answer does not describe the object: %w", driver.ErrUnavailable)

// checkComplete returns errIncompleteResponse for what the store has not said.
func checkComplete(info driver.Info) error {
	if info.Version == "" || info.ModTime.IsZero() || info.Size < 0 {
		return errIncompleteResponse
	}
	return nil
}

// errWrongRange is that other bytes have come than were asked for.
var errWrongRange = fmt.Errorf("gocloud: the answer has not the bytes that were asked for: %w", driver.ErrUnavailable)

// covers reports whether an answer begins where it should and goes as far, given its Content-Range
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

// recoverPanic makes a panic of the driver of the bucket an error: azureblob takes it for granted that an
// answer has all that the service's have.
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
