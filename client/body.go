package client

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
)

// body reads a blob with GET requests. The first Read, and the first Read after a Seek, sends a
// request that starts at the current position. When a blob is read from start to end, the digest is
// checked before the last bytes are returned, so that no caller accepts wrong content as complete.
type body struct {
	c    *Client
	ctx  context.Context
	url  *url.URL
	desc ocispec.Descriptor
	pos  int64

	open   io.ReadCloser // the response being read, at position pos; or nil
	h      hash.Hash     // the digest of the first hashed bytes
	hashed int64
	closed bool
	err    error // the error of all later Reads, set when the content was wrong
}

var errClosed = errors.New("client: blob is closed")

// Read implements [io.Reader].
//
// Errors: ErrContent, after which every Read fails; registry.ErrBlobUnknown if the blob has been
// deleted since; registry.ErrUnavailable; registry.ErrUnsupported if the registry does not support
// ranges and more than maxSkip bytes would have to be skipped.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil && !b.closed {
		return 0, b.err
	}
	n, err := b.read(p)
	if errors.Is(err, ErrContent) {
		b.err = err
	}
	return n, err
}

func (b *body) read(p []byte) (int, error) {
	switch {
	case b.closed:
		return 0, errClosed
	case len(p) == 0:
		return 0, nil
	case b.pos == 0 && b.desc.Size == 0:
		if err := b.verify(nil); err != nil {
			return 0, err
		}
	}
	if b.pos >= b.desc.Size {
		return 0, io.EOF
	}
	if b.open == nil {
		if err := b.get(); err != nil {
			return 0, err
		}
	}
	n, err := b.open.Read(p[:min(int64(len(p)), b.desc.Size-b.pos)])
	if verr := b.verify(p[:n]); verr != nil {
		return 0, errors.Join(verr, b.stop())
	}
	b.pos += int64(n)
	switch {
	case b.pos == b.desc.Size:
		_ = b.stop() // the content is complete and verified
		return n, nil
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
		fallthrough
	case err != nil:
		_ = b.stop()
		return n, broken(b.ctx, b.request().String(), err)
	}
	return n, nil
}

// verify adds the next bytes to the hash, if all bytes before them were hashed. After the last
// bytes, it returns ErrContent if the digest does not match.
func (b *body) verify(p []byte) error {
	if b.pos == 0 {
		b.h, b.hashed = b.desc.Digest.Algorithm().Hash(), 0
	}
	if b.h == nil || b.pos != b.hashed {
		return nil
	}
	b.h.Write(p)
	b.hashed += int64(len(p))
	if b.hashed == b.desc.Size && digest.NewDigest(b.desc.Digest.Algorithm(), b.h) != b.desc.Digest {
		b.h = nil
		return fmt.Errorf("%s: %w: wrong digest", b.request(), ErrContent)
	}
	return nil
}

func (b *body) request() *request {
	return &request{method: http.MethodGet, url: b.url, header: http.Header{}}
}

// maxSkip is the maximum number of bytes that are read and discarded to reach a position in a blob
// when the registry does not support ranges.
const maxSkip = 64 << 20

// get requests the blob from the current position.
func (b *body) get() error {
	r := b.request()
	if b.pos > 0 {
		r.header.Set("Range", "bytes="+strconv.FormatInt(b.pos, 10)+"-")
	}
	res, err := b.c.expect(b.ctx, r, registry.ErrBlobUnknown, http.StatusOK, http.StatusPartialContent)
	if err != nil {
		return err
	}
	skip, rest := int64(0), b.desc.Size-b.pos
	if res.StatusCode == http.StatusOK {
		skip, rest = b.pos, b.desc.Size // without support for ranges, the whole blob comes
	} else if !strings.HasPrefix(res.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-%d/", b.pos, b.desc.Size-1)) {
		_ = res.Body.Close()
		return fmt.Errorf("%s: %w: wrong range", r, ErrContent)
	}
	if res.ContentLength >= 0 && res.ContentLength != rest {
		_ = res.Body.Close()
		return fmt.Errorf("%s: %w: wrong length", r, ErrContent)
	}
	if skip > maxSkip {
		_ = res.Body.Close()
		return registry.ErrUnsupported.WithMessage("the registry does not support ranges")
	}
	if _, err := io.CopyN(io.Discard, res.Body, skip); err != nil {
		_ = res.Body.Close()
		return broken(b.ctx, r.String(), err)
	}
	b.open = res.Body
	return nil
}

func (b *body) stop() error {
	if b.open == nil {
		return nil
	}
	err := b.open.Close()
	b.open = nil
	return err
}

// Seek implements [io.Seeker]. It sends no request.
func (b *body) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.pos
	case io.SeekEnd:
		offset += b.desc.Size
	}
	if offset < 0 {
		return b.pos, errors.New("client: seek before the start of a blob")
	}
	if offset != b.pos {
		b.pos = offset
		_ = b.stop() // the rest of that response is not needed
	}
	return offset, nil
}

// Close implements [io.Closer].
func (b *body) Close() error {
	b.closed = true
	return b.stop()
}
