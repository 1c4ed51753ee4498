// Package fill brings blobs of an upstream into a store while clients read them.
//
// A fill is an upload of the store. One goroutine per fill requests the blob from the upstream,
// once, and appends what arrives in blocks; any number of readers follow. A reader takes the newest
// bytes from memory and older ones from the upload, so it may be arbitrarily slow or late. The
// replicas of one storage share a fill: an object in the storage is its lease, and names its upload.
package fill

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
)

// ErrChanged is returned when an upstream has other content than at the start of a fill (502).
var ErrChanged = registry.NewError("UNKNOWN", http.StatusBadGateway, "the upstream has changed the content")

// Source is the upstream of a fill. Its methods are safe for concurrent use.
type Source interface {
	// Fetch requests a blob from the upstream, from the byte at offset on. It tries the URLs of the
	// upstream in order, except those that Blame has excluded for this digest. It returns when the
	// header of the response has arrived.
	//
	// Errors: registry.ErrBlobUnknown; registry.ErrTooManyRequests with a Retry-After;
	// registry.ErrUnavailable if no URL gives an answer; ErrChanged if etag is not "" and the
	// upstream has other content now.
	Fetch(ctx context.Context, d digest.Digest, offset int64, etag string) (*Response, error)

	// FetchRange requests a part of a blob: length bytes from the byte at offset on. The bytes are
	// not verified against the digest.
	//
	// Errors: as Fetch; registry.ErrUnsupported if the upstream has no ranges, or if too many parts are
	// open.
	FetchRange(ctx context.Context, d digest.Digest, offset, length int64) (*Response, error)

	// Blame excludes a URL for a digest for a while, because it sent wrong content.
	Blame(url string, d digest.Digest, reason error)
}

// Response is an open response of an upstream.
type Response struct {
	// Body has the bytes from Offset on. It must be closed. A read fails when the upstream has sent
	// nothing for the idle timeout of the upstream.
	Body io.ReadCloser
	// Offset is the position of the first byte of Body in the blob. It is 0 instead of the requested
	// offset if the upstream has no ranges.
	Offset int64
	// Size is the size of the whole blob in bytes as the upstream states it, or -1 if it does not.
	Size int64
	// ETag is the strong entity tag of the content, or "".
	ETag string
	// URL is the URL of the upstream that responded, as configured, for Blame.
	URL string
}

// Request describes a blob that a client wants to read.
type Request struct {
	// Repository is the repository of the store.
	Repository string
	// Digest is the digest of the blob.
	Digest digest.Digest
	// Size is the size of the blob in bytes, as a manifest states it, or -1 if it is not known.
	Size int64
	// Range is the part that the client asked for, or nil for all.
	Range *registry.ByteRange
	// Source is the upstream.
	Source Source
}

// Options are the options of [New].
type Options struct {
	// Block is the number of bytes that are appended at once. A fill holds up to three blocks in memory.
	// Default: 4 MiB.
	Block int
	// Direct is the maximum length of a range that is passed through without a fill, if the client
	// states its length and nothing else fills the blob. Default: 1 MiB. Negative means none.
	Direct int64
	// Lease is how long another replica waits for a sign of life before it takes a fill over.
	// Default: 10 seconds.
	Lease time.Duration
	// Wait is how long a replica follows the fill of another one that makes no progress before it
	// fetches the blob itself. Default: 30 seconds.
	Wait time.Duration
	// Linger is how long a fill goes on without a reader. A fill of which less than a quarter, or
	// less than 64 MiB, is missing goes on to its end. Default: 10 seconds.
	Linger time.Duration
	// Logger receives failures. Default: none.
	Logger *slog.Logger
}

// Stats are the counters of Fills.
type Stats struct {
	// Fills is the number of fills begun by this process; Resumed those that continued an earlier one.
	Fills, Resumed int64
	// Failed counts the fills that ended with an error, Wrong those among them with wrong content.
	Failed, Wrong int64
	// Bytes came from upstreams. Direct are those among them that were not stored.
	Bytes, Direct int64
	// Active is the number of fills in progress in this process, Readers that of their readers.
	Active, Readers int64
}
