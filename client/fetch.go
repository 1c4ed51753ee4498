package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
)

// FetchOptions are the options of [Client.Fetch].
type FetchOptions struct {
	// Offset is the position of the first byte.
	Offset int64
	// Length is the maximum number of bytes. Zero means everything from Offset on.
	Length int64
	// ETag, unless "", is the entity tag of an earlier Fetched. If the blob has another one now, the
	// registry sends the blob from its start (If-Range).
	ETag string
}

// Fetched is the result of [Client.Fetch].
type Fetched struct {
	// Body has the bytes as the registry sends them. They are not verified. It must be closed.
	//
	// Body ends with io.EOF only where the requested part or the blob ends. A Read returns
	// registry.ErrUnavailable if the connection breaks or the registry sends less than it has
	// announced, ErrContent if it sends more, and the error of the context.
	Body io.ReadCloser
	// Offset is the position of the first byte of Body. It is 0 if the registry has no ranges, or if
	// the entity tag has changed. Body is the whole blob then, whatever FetchOptions.Length is.
	Offset int64
	// Size is the size of the whole blob in bytes, or -1 if the registry does not state it.
	Size int64
	// ETag is the strong entity tag of the blob, or "".
	ETag string
}

// Fetch requests a blob, or the part of it that opts selects, with one GET and no HEAD. It returns
// when the header of the response has arrived. The caller verifies the bytes. opts may be nil.
//
// Errors: registry.ErrBlobUnknown; registry.ErrRangeInvalid if the blob ends before Offset, or if
// Offset or Length is negative; ErrContent if the response is encoded or has a contradictory range,
// or if it has a part of a blob with another entity tag than ETag; those of every method.
func (c *Client) Fetch(ctx context.Context, repo string, d digest.Digest, opts *FetchOptions) (*Fetched, error) {
	o := options.Value(opts)
	if err := checkBlob(repo, d); err != nil {
		return nil, err
	}
	if o.Offset < 0 || o.Length < 0 || o.Length > maxUpload || o.Offset > maxUpload {
		return nil, registry.ErrRangeInvalid
	}
	if o.ETag != "" && strongTag(o.ETag) == "" {
		return nil, errors.New("client: FetchOptions.ETag is not a strong entity tag")
	}
	r := &request{method: http.MethodGet, url: c.url(blobURL(repo, d), nil), header: http.Header{}}
	if o.Offset > 0 || o.Length > 0 {
		last := ""
		if o.Length > 0 {
			last = strconv.FormatInt(o.Offset+o.Length-1, 10)
		}
		r.header.Set("Range", "bytes="+strconv.FormatInt(o.Offset, 10)+"-"+last)
		if o.ETag != "" {
			r.header.Set("If-Range", o.ETag)
		}
	}
	res, err := c.expect(ctx, r, registry.ErrBlobUnknown, http.StatusOK, http.StatusPartialContent)
	if err != nil {
		return nil, err
	}
	f, err := fetched(ctx, r, res, &o)
	if err != nil {
		_ = res.Body.Close()
		return nil, fmt.Errorf("client: %s: %w: %w", r, ErrContent, err)
	}
	return f, nil
}

// fetched checks the header of a response to Fetch.
func fetched(ctx context.Context, r *request, res *http.Response, o *FetchOptions) (*Fetched, error) {
	for _, e := range res.Header.Values("Content-Encoding") {
		if e != "" && !strings.EqualFold(strings.TrimSpace(e), "identity") {
			return nil, errors.New("encoded content")
		}
	}
	if res.Uncompressed {
		return nil, errors.New("encoded content")
	}
	part, hasRange, err := contentRange(res.Header)
	switch {
	case err != nil:
		return nil, err
	case res.ContentLength > maxUpload:
		return nil, errors.New("implausible length")
	case hasRange && res.ContentLength >= 0 && res.ContentLength != part.length():
		return nil, errors.New("the length contradicts the range")
	}
	f := &Fetched{Size: res.ContentLength, ETag: strongTag(res.Header.Get("ETag"))}
	b := &fetchBody{ctx: ctx, request: r.String(), body: res.Body, left: res.ContentLength}
	f.Body = b
	if res.StatusCode == http.StatusOK {
		if hasRange && (part.first != 0 || part.size >= 0 && part.last != part.size-1) {
			return nil, errors.New("status 200 with a part of the blob")
		}
		return f, nil
	}
	switch {
	case r.header.Get("Range") == "" || !hasRange:
		return nil, errors.New("status 206 without a range")
	case part.first != o.Offset || o.Length > 0 && part.last >= o.Offset+o.Length:
		return nil, errors.New("another range than requested")
	case o.ETag != "" && f.ETag != "" && f.ETag != o.ETag:
		return nil, errors.New("a part of a blob with another entity tag")
	}
	f.Offset, f.Size, b.left = part.first, part.size, part.length()
	if end := part.size; end >= 0 {
		if o.Length > 0 {
			end = min(end, o.Offset+o.Length)
		}
		b.short = part.last+1 < end
	}
	return f, nil
}

// fetchBody is the body of a response to Fetch.
type fetchBody struct {
	ctx     context.Context
	request string
	body    io.ReadCloser
	left    int64 // the number of bytes that the registry has announced, or negative if it has not
	short   bool  // whether the registry has announced less than was requested
	err     error // the error of all later Reads
}

// Read implements [io.Reader].
func (b *fetchBody) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	n, err := b.body.Read(p)
	if known := b.left >= 0; known && int64(n) > b.left {
		n = int(b.left)
		err = fmt.Errorf("client: %s: %w: more than announced", b.request, ErrContent)
	} else if known {
		b.left -= int64(n)
	}
	switch {
	case err == nil, errors.Is(err, ErrContent):
	case !errors.Is(err, io.EOF):
		err = broken(b.ctx, b.request, err)
	case b.left > 0 || b.short:
		err = broken(b.ctx, b.request, io.ErrUnexpectedEOF)
	}
	b.err = err
	return n, err
}

// Close implements [io.Closer]. It ends the request.
func (b *fetchBody) Close() error { return b.body.Close() }

// byteRange is the value of a Content-Range header.
type byteRange struct {
	first, last int64
	size        int64 // of the whole, or -1
}

func (b byteRange) length() int64 { return b.last - b.first + 1 }

// contentRange returns the range of a response, and whether the response has one.
//
// Errors: one for a malformed, contradictory or repeated header, and for several ranges.
func contentRange(h http.Header) (b byteRange, ok bool, err error) {
	invalid := errors.New("invalid range")
	if t, _, _ := mime.ParseMediaType(h.Get("Content-Type")); t == "multipart/byteranges" {
		return b, false, invalid
	}
	values := h.Values("Content-Range")
	if len(values) == 0 {
		return b, false, nil
	}
	unit, value, _ := strings.Cut(values[0], " ")
	part, size, _ := strings.Cut(value, "/")
	first, last, _ := strings.Cut(part, "-")
	ok = len(values) == 1 && strings.EqualFold(unit, "bytes")
	number := func(s string) int64 {
		n, err := strconv.ParseUint(s, 10, 63)
		ok = ok && err == nil && n < maxUpload
		return int64(n)
	}
	b = byteRange{first: number(first), last: number(last), size: -1}
	if size != "*" {
		b.size = number(size)
	}
	if !ok || b.last < b.first || b.size >= 0 && b.last >= b.size {
		return b, false, invalid
	}
	return b, true, nil
}

// maxTagSize is the maximum length of an entity tag that is used, in bytes.
const maxTagSize = 1 << 10

// strongTag returns s if it is a strong entity tag (RFC 9110, section 8.8.3), or else "".
func strongTag(s string) string {
	if len(s) < 2 || len(s) > maxTagSize || s[0] != '"' || s[len(s)-1] != '"' {
		return ""
	}
	for _, c := range []byte(s[1 : len(s)-1]) {
		if c <= ' ' || c == '"' || c == 0x7f {
			return ""
		}
	}
	return s
}
