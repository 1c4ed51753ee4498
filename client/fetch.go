package client

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
)

// FetchOptions are the options of [Client.Fetch].
type FetchOptions struct {
	// Offset is the position of the first byte.
	Offset int64
	// Length is the number of bytes. Zero means everything from Offset on.
	Length int64
	// ETag, unless "", is the entity tag of an earlier Fetched. If the blob has another one now, the
	// registry sends the blob from its start (If-Range).
	ETag string
}

// Fetched is the result of [Client.Fetch].
type Fetched struct {
	// Body has the bytes as the registry sends them. They are not verified. It must be closed.
	Body io.ReadCloser
	// Offset is the position of the first byte of Body. It is 0 if the registry has no ranges, or if
	// the entity tag has changed.
	Offset int64
	// Size is the size of the whole blob in bytes, or -1 if the registry does not state it.
	Size int64
	// ETag is the strong entity tag of the blob, or "".
	ETag string
}

// Fetch requests a blob, or the part of it that opts selects, with one GET and no HEAD. It returns
// when the header of the response has arrived. The caller verifies the bytes.
//
// Errors: registry.ErrBlobUnknown; registry.ErrRangeInvalid if the blob ends before Offset;
// ErrContent if the response is encoded or has a contradictory range; those of every method.
func (c *Client) Fetch(ctx context.Context, repo string, d digest.Digest, opts *FetchOptions) (*Fetched, error) {
	return nil, registry.ErrUnsupported
}
