package layout

import (
	"bytes"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
)

// Names of the files of a layout.
const (
	layoutFile   = "oci-layout"
	indexFile    = "index.json"
	dockerFile   = "manifest.json"
	blobsDir     = "blobs"
	maxSmallFile = 1 << 20 // bytes of oci-layout
)

// pool is where the content of a layout is.
type pool interface {
	// stat returns the size of a blob.
	//
	// Errors: fs.ErrNotExist.
	stat(d digest.Digest) (int64, error)
	// open opens a blob.
	//
	// Errors: fs.ErrNotExist.
	open(d digest.Digest) (file, error)
	// load returns the bytes of index.json, and a stamp that is equal to that of the last call if
	// nothing has changed since; the bytes are then nil.
	//
	// Errors: an error if there are more than limit bytes.
	load(last stamp, limit int64) ([]byte, stamp, error)
	close() error
}

// stamp identifies a version of index.json.
type stamp interface {
	same(other stamp) bool
	// release ends the use of the stamp.
	release()
}

// file is the content of a blob.
type file interface {
	io.ReaderAt
	io.Closer
}

// blobName returns the name of a blob in a layout.
func blobName(d digest.Digest) string {
	return blobsDir + "/" + d.Algorithm().String() + "/" + d.Encoded()
}

// closed is the pool of a Layout that was closed.
type closed struct{}

var errClosed = errors.New("layout: it is closed")

func (closed) stat(digest.Digest) (int64, error)        { return 0, errClosed }
func (closed) open(digest.Digest) (file, error)         { return nil, errClosed }
func (closed) load(stamp, int64) ([]byte, stamp, error) { return nil, nil, errClosed }
func (closed) close() error                             { return nil }

// body reads a blob and verifies it. It opens nothing before the first Read.
type body struct {
	pool   pool
	digest digest.Digest
	size   int64

	f      file
	at     int64
	hash   hash.Hash // of the first hashed bytes
	hashed int64
	closed bool
}

// Read implements [io.Reader]. The Read that returns the last byte fails if everything was read,
// from the first byte on, and does not have the digest.
//
// Errors: registry.ErrDigestInvalid; ErrSizeInvalid if the content ends early.
func (b *body) Read(p []byte) (int, error) {
	if b.closed {
		return 0, fs.ErrClosed
	}
	if b.at >= b.size {
		if b.size == 0 && b.digest != b.digest.Algorithm().FromBytes(nil) {
			return 0, b.wrong()
		}
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if b.f == nil {
		f, err := b.pool.open(b.digest)
		if err != nil {
			return 0, unknownBlob(err)
		}
		b.f = f
	}
	n, err := b.f.ReadAt(p[:min(int64(len(p)), b.size-b.at)], b.at)
	if n == 0 {
		if err == nil || errors.Is(err, io.EOF) {
			err = registry.ErrSizeInvalid.WithMessage(fmt.Sprintf("blob %s ends after %d of %d bytes", b.digest, b.at, b.size))
		}
		return 0, err
	}
	return b.verify(p[:n])
}

// verify adds bytes at the position to the hash, and moves the position behind them.
func (b *body) verify(p []byte) (int, error) {
	if b.hashed == b.at {
		if b.hash == nil {
			b.hash = b.digest.Algorithm().Hash()
		}
		b.hash.Write(p)
		b.hashed += int64(len(p))
		if b.hashed == b.size && digest.NewDigest(b.digest.Algorithm(), b.hash) != b.digest {
			b.hash, b.hashed = nil, 0
			return 0, b.wrong()
		}
	}
	b.at += int64(len(p))
	return len(p), nil
}

func (b *body) wrong() error {
	return registry.ErrDigestInvalid.WithMessage(fmt.Sprintf("the content of blob %s has another digest", b.digest))
}

// Seek implements [io.Seeker]. Content that is not read from its first byte on is not verified.
func (b *body) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.at
	case io.SeekEnd:
		offset += b.size
	}
	if offset < 0 {
		return 0, errors.New("layout: seek before the start of a blob")
	}
	if offset == 0 && b.hashed != b.size {
		b.hash, b.hashed = nil, 0
	}
	b.at = offset
	return offset, nil
}

// Close implements [io.Closer].
func (b *body) Close() error {
	b.closed = true
	if b.f == nil {
		return nil
	}
	f := b.f
	b.f = nil
	return f.Close()
}

// unknownBlob returns the error for a blob that a pool does not have.
func unknownBlob(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return registry.ErrBlobUnknown
	}
	return err
}

// readAll returns the content of a blob of at most limit bytes, which it verifies.
//
// Errors: fs.ErrNotExist; errTooLarge; registry.ErrDigestInvalid.
func readAll(p pool, d digest.Digest, limit int64) ([]byte, error) {
	size, err := p.stat(d)
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, errTooLarge
	}
	b := &body{pool: p, digest: d, size: size}
	defer func() { _ = b.Close() }() // it was only read
	var buf bytes.Buffer
	buf.Grow(int(size))
	if _, err := buf.ReadFrom(b); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// errTooLarge is returned when content exceeds a limit.
var errTooLarge = errors.New("it is too large")
