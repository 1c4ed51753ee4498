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

// body reads a blob by GET, from the position where the first Read after a Seek stands. When it is
// read from start to end, the digest is checked before the last bytes are returned, so that nobody
// takes for whole what is not.
type body struct {
	c    *Client
	ctx  context.Context
	url  *url.URL
	desc ocispec.Descriptor
	pos  int64

	open   io.ReadCloser // stands at pos; nil if none is open
	h      hash.Hash     // of the first hashed bytes
	hashed int64
	closed bool
	err    error // what all Reads fail with, once content was wrong
}

var errClosed = errors.New("client: blob is closed")

// Read implements [io.Reader].
//
// Errors: ErrContent; registry.ErrBlobUnknown if the blob was deleted meanwhile;
// registry.ErrUnavailable. Once it has failed with ErrContent, it always does.
// registry.ErrUnsupported if the registry knows no ranges and would have to send much in vain.
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
		_ = b.stop() // all has arrived, and is right
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

// verify takes the next bytes into account, if all before them have been. With the last ones it
// returns ErrContent if all together have not the digest.
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
		return fmt.Errorf("%s: %w: another digest", b.request(), ErrContent)
	}
	return nil
}

func (b *body) request() *request {
	return &request{method: http.MethodGet, url: b.url, header: http.Header{}}
}

// maxSkip is how many bytes are read in vain of a registry that knows no ranges.
const maxSkip = 64 << 20

// get opens the blob at the position.
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
		skip, rest = b.pos, b.desc.Size // whoever knows no ranges sends all
	} else if !strings.HasPrefix(res.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-%d/", b.pos, b.desc.Size-1)) {
		_ = res.Body.Close()
		return fmt.Errorf("%s: %w: another range", r, ErrContent)
	}
	if res.ContentLength >= 0 && res.ContentLength != rest {
		_ = res.Body.Close()
		return fmt.Errorf("%s: %w: another length", r, ErrContent)
	}
	if skip > maxSkip {
		_ = res.Body.Close()
		return registry.ErrUnsupported.WithMessage("the registry sends no part of a blob without what comes before it")
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

// Seek implements [io.Seeker]; nothing is asked for.
func (b *body) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.pos
	case io.SeekEnd:
		offset += b.desc.Size
	}
	if offset < 0 {
		return b.pos, errors.New("client: seek before the beginning of a blob")
	}
	if offset != b.pos {
		b.pos = offset
		_ = b.stop() // what it has to say is of no interest any more
	}
	return offset, nil
}

// Close implements [io.Closer].
func (b *body) Close() error {
	b.closed = true
	return b.stop()
}
