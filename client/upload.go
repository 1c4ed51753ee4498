package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
)

// upload implements [registry.Upload]. It knows only the location of the upload and the number of
// bytes received.
type upload struct {
	c     *Client
	repo  string
	owner string
	name  [nameSize]byte
	loc   *url.URL
	size  int64
	chunk int64
}

// CreateUpload implements [registry.Writer].
func (c *Client) CreateUpload(ctx context.Context, repo string, opts *registry.UploadOptions) (registry.Upload, error) {
	if err := registry.CheckName(repo); err != nil {
		return nil, err
	}
	o := options.Value(opts)
	q := url.Values{}
	switch o.Algorithm {
	case "", digest.SHA256:
	case digest.SHA512:
		q.Set("digest-algorithm", string(o.Algorithm))
	default:
		return nil, registry.ErrDigestInvalid.WithMessage("unsupported digest algorithm")
	}
	r := &request{method: http.MethodPost, url: c.url(repo+"/blobs/uploads/", q)}
	h, err := c.call(ctx, r, registry.ErrNameUnknown, http.StatusAccepted)
	if err != nil {
		return nil, err
	}
	u := &upload{c: c, repo: repo, owner: o.Owner, chunk: c.opts.ChunkSize}
	rand.Read(u.name[:])
	if n, err := strconv.ParseInt(h.Get("OCI-Chunk-Min-Length"), 10, 64); err == nil {
		u.chunk = min(max(n, u.chunk), 8*u.chunk)
	}
	if u.loc, err = c.location(r.url, h); err != nil {
		return nil, err
	}
	return u, nil
}

// ResumeUpload implements [registry.Writer]. It always asks the registry for the size of the
// upload.
func (c *Client) ResumeUpload(ctx context.Context, repo, id string, opts *registry.ResumeOptions) (registry.Upload,
	error) {
	if err := registry.CheckName(repo); err != nil {
		return nil, err
	}
	u := &upload{c: c, repo: repo, chunk: c.opts.ChunkSize}
	if opts != nil {
		u.owner = opts.Owner
	}
	if err := u.restore(id); err != nil {
		return nil, registry.ErrUploadUnknown
	}
	if err := u.refresh(ctx); err != nil {
		return nil, err
	}
	return u, nil
}

// Size implements [registry.Upload].
func (u *upload) Size() int64 { return u.size }

// request returns a request about the upload. Errors do not show its URL, because knowing the URL
// is enough to continue the upload.
func (u *upload) request(method string, at *url.URL) *request {
	return &request{method: method, url: at, shown: u.uploadsPath() + "<id>", stay: true}
}

// refresh asks the registry for the size of the upload.
func (u *upload) refresh(ctx context.Context) error {
	r := u.request(http.MethodGet, u.loc)
	h, err := u.c.call(ctx, r, registry.ErrUploadUnknown, http.StatusNoContent, http.StatusOK)
	if err != nil {
		return err
	}
	if size, ok := receivedOf(h, u.size); ok {
		u.size = size
	}
	return u.moved(r, h)
}

// moved adopts the Location of a response, if there is one.
func (u *upload) moved(r *request, h http.Header) error {
	if h.Get("Location") == "" {
		return nil
	}
	loc, err := u.c.location(r.url, h)
	if err == nil {
		u.loc = loc
	}
	return err
}

// maxUpload is an upper bound for the size of an upload, in bytes. A response that states more is
// ignored.
const maxUpload = 1 << 60

// receivedOf returns how many bytes the registry has received according to a response. The response
// is the same for no byte and for one byte; known, the size known so far, tells them apart.
func receivedOf(h http.Header, known int64) (int64, bool) {
	first, last, ok := strings.Cut(strings.TrimPrefix(h.Get("Range"), "bytes="), "-")
	n, err := strconv.ParseInt(last, 10, 64)
	if !ok || first != "0" || err != nil || n < 0 || n >= maxUpload {
		return 0, false
	}
	if n == 0 && known == 0 {
		return 0, true
	}
	return n + 1, true
}

// Append implements [registry.Upload]. If length is known, one request sends exactly that many
// bytes of r. Otherwise Append sends chunks, each of which it holds in memory: a registry checks
// the offset of a request only if the request also states its end.
func (u *upload) Append(ctx context.Context, offset, length int64, r io.Reader) (int64, error) {
	if offset != u.size {
		return 0, registry.ErrRangeInvalid
	}
	src := &source{r: r}
	var err error
	if length >= 0 {
		err = u.patch(ctx, src, nil, length)
	} else {
		err = u.chunks(ctx, src)
	}
	// An error of the reader takes precedence over the failure that it caused.
	sent, failure := src.stop()
	if failure != nil {
		err = fmt.Errorf("client: reading the content of a blob: %w", failure)
	}
	return min(max(u.size-offset, 0), sent), err // at most what was sent, even if the registry reports more
}

// chunks sends all bytes of src.
func (u *upload) chunks(ctx context.Context, src *source) error {
	var buf bytes.Buffer
	for {
		buf.Reset()
		n, rerr := io.CopyN(&buf, src, u.chunk)
		if n > 0 {
			if err := u.patch(ctx, nil, buf.Bytes(), n); err != nil {
				return err
			}
		}
		if rerr != nil {
			return nil // the end of src, or an error that src keeps
		}
	}
}

// patch appends length bytes: content or, if content is nil, the next bytes of src.
func (u *upload) patch(ctx context.Context, src *source, content []byte, length int64) error {
	if length == 0 {
		return nil
	}
	offset := u.size
	if length > maxUpload-offset {
		return registry.ErrBlobTooLarge
	}
	r := u.request(http.MethodPatch, u.loc)
	r.content, r.length, r.header = content, length, http.Header{
		"Content-Type":  {"application/octet-stream"},
		"Content-Range": {fmt.Sprintf("%d-%d", offset, offset+length-1)},
	}
	if content == nil {
		src.left, r.body = length, src
	}
	h, err := u.c.call(ctx, r, registry.ErrUploadUnknown, http.StatusAccepted, http.StatusCreated, http.StatusNoContent)
	read, short := length, false
	if content == nil {
		read, short = src.pause()
	}
	if err == nil {
		if err = u.moved(r, h); err != nil {
			return err
		}
		u.size = offset + length
		if size, ok := receivedOf(h, u.size); ok && size != u.size {
			u.size = size
			return registry.ErrRangeInvalid.WithMessage("the registry received another number of bytes than was sent")
		}
		return nil
	}
	if errors.Is(err, registry.ErrUploadUnknown) {
		return err
	}
	outOfOrder := errors.Is(err, registry.ErrRangeInvalid)
	tries := 1
	if read > 0 && !outOfOrder {
		tries = findTries // something may still arrive
	}
	u.findSize(ctx, tries)
	switch {
	case short:
		return registry.ErrSizeInvalid.WithCause(err)
	case outOfOrder && offset == 0 && u.size == 0:
		u.size = 1 // an empty upload would have accepted offset 0
	}
	return err
}

// findTries is the number of tries of findSize if something may still arrive.
const findTries = 8

// findSize asks for the size of the upload after a request has failed, even if the context has
// ended. It asks again, up to tries times, while the size is the same: the registry may need a
// moment to notice the end of the broken request. If findSize fails, the size stays as it was.
func (u *upload) findSize(ctx context.Context, tries int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	before := u.size
	for n := range tries {
		if err := u.refresh(ctx); err != nil || u.size != before || n == tries-1 {
			return
		}
		time.Sleep(time.Millisecond << n)
	}
}

// Commit implements [registry.Upload]. The last chunk is sent with requests of its own, as by
// Append. If another client appends after it, the digest does not match. A registry checks only one
// digest, so Commit reads the blob back to check the others. If one of those is wrong, the blob
// remains under d.
func (u *upload) Commit(ctx context.Context, d digest.Digest, last *registry.Chunk,
	also ...digest.Digest) (ocispec.Descriptor, error) {
	for _, d := range append([]digest.Digest{d}, also...) {
		if err := registry.CheckDigest(d); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	if last != nil {
		if _, err := u.Append(ctx, last.Offset, last.Length, last.Body); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	to := *u.loc
	to.RawQuery = strings.TrimPrefix(to.RawQuery+"&digest="+url.QueryEscape(string(d)), "&")
	r := u.request(http.MethodPut, &to)
	h, err := u.c.call(ctx, r, registry.ErrUploadUnknown, http.StatusCreated, http.StatusNoContent)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if got := sentDigest(h); got != "" && got.Algorithm() == d.Algorithm() && got != d {
		return ocispec.Descriptor{}, fmt.Errorf("%s: %w: wrong digest", r, ErrContent)
	}
	if err := u.verify(ctx, d, also); err != nil {
		return ocispec.Descriptor{}, err
	}
	return ocispec.Descriptor{MediaType: blobMediaType, Digest: d, Size: u.size}, nil
}

// verify reads the blob d and checks that it also has the other digests.
func (u *upload) verify(ctx context.Context, d digest.Digest, also []digest.Digest) error {
	if len(also) == 0 {
		return nil
	}
	b, err := u.c.OpenBlob(ctx, u.repo, d, nil)
	if err != nil {
		return err
	}
	verifiers, hashes := make([]digest.Verifier, len(also)), make([]io.Writer, len(also))
	for i, d := range also {
		verifiers[i] = d.Verifier()
		hashes[i] = verifiers[i]
	}
	_, err = io.Copy(io.MultiWriter(hashes...), b.Body)
	if cerr := b.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("client: reading a blob back: %w", err)
	}
	for i, v := range verifiers {
		if !v.Verified() {
			return registry.ErrDigestInvalid.WithDetail(map[string]string{"digest": string(also[i])})
		}
	}
	return nil
}

// Cancel implements [registry.Upload].
func (u *upload) Cancel(ctx context.Context) error {
	_, err := u.c.call(ctx, u.request(http.MethodDelete, u.loc), registry.ErrUploadUnknown, http.StatusNoContent,
		http.StatusAccepted, http.StatusOK)
	return err
}

// source is the reader of an Append, used as the body of requests. A transport may continue to read
// a body after its request has ended; source then returns io.EOF.
type source struct {
	mu   sync.Mutex
	r    io.Reader
	left int64 // bytes that the current request may read; unused if 0
	n    int64 // bytes read so far
	err  error // the error of r
	end  bool  // whether r has ended
	over bool
}

// Read implements [io.Reader]. It returns at most left bytes.
func (s *source) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.end {
		return 0, io.EOF
	}
	if s.left > 0 {
		if s.n == s.left {
			return 0, io.EOF
		}
		p = p[:min(int64(len(p)), s.left-s.n)]
	}
	n, err := s.r.Read(p)
	s.n += int64(n)
	if err != nil {
		s.end = true
		if !errors.Is(err, io.EOF) {
			s.err = err
		}
	}
	return n, err
}

// pause ends the current request. It returns the number of bytes that the request has read, and
// whether r ended before the length of the request.
func (s *source) pause() (read int64, short bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	return s.n, s.end && s.n < s.left
}

// stop ends all reading. It returns the number of bytes read and the error of r.
func (s *source) stop() (read int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	return s.n, s.err
}
