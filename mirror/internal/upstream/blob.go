package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/mirror/internal/fill"
)

// Blobs returns the source of the blobs of a repository for a fill.
//
// Fetch sends the entity tag only to the URL that has sent it, because each URL may have its own.
// Fetch and FetchRange return ErrRefused and ErrContent in addition to the errors of fill.Source.
// FetchRange returns registry.ErrRangeInvalid if the blob ends before offset.
func (u *Upstream) Blobs(repo string) fill.Source { return &source{u, repo} }

// source implements [fill.Source].
type source struct {
	u    *Upstream
	repo string
}

// Fetch implements [fill.Source].
func (s *source) Fetch(ctx context.Context, d digest.Digest, offset int64, etag string) (*fill.Response, error) {
	var res *fill.Response
	err := s.u.do(ctx, call{kind: "blob", content: content{s.repo, d},
		ask: func(ctx context.Context, e *endpoint, c *client.Client, _ *attempt) error {
			o := client.FetchOptions{Offset: offset}
			if etag != "" && offset > 0 && (len(s.u.endpoints) == 1 || s.u.blame.get(e, content{s.repo, d}).etag == etag) {
				o.ETag = etag
			}
			got, err := c.Fetch(ctx, s.repo, d, &o)
			if offset > 0 && errors.Is(err, registry.ErrRangeInvalid) {
				// The URL may have fewer bytes, or exactly these. The fill finds out.
				got, err = c.Fetch(ctx, s.repo, d, nil)
			}
			if err != nil {
				return err
			}
			if o.ETag != "" && got.Offset == 0 && got.ETag != "" && got.ETag != etag {
				_ = got.Body.Close()
				return fill.ErrChanged
			}
			res = s.response(e, d, got)
			return nil
		}})
	if err != nil {
		return nil, err
	}
	return res, nil
}

// partWait is the maximum time to wait for the end of other parts.
const partWait = time.Second

// partSlot waits until fewer than half of the requests are for parts of blobs. A client reads a part at
// its own speed, and must not keep requests from others for long.
//
// Errors: errNoRanges, so that the blob is fetched as a whole instead; that of ctx.
func (s *shared) partSlot(ctx context.Context) (release func(), err error) {
	t := time.NewTimer(partWait)
	defer t.Stop()
	select {
	case s.partSlots <- struct{}{}:
		return sync.OnceFunc(func() { <-s.partSlots }), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-t.C:
		return nil, errNoRanges.WithCause(errors.New("upstream: too many parts at a time"))
	}
}

// partBody is the body of a part.
type partBody struct {
	io.ReadCloser
	release func()
}

// Close implements [io.Closer].
func (b *partBody) Close() error {
	defer b.release()
	return b.ReadCloser.Close()
}

// FetchRange implements [fill.Source].
func (s *source) FetchRange(ctx context.Context, d digest.Digest, offset, length int64) (*fill.Response, error) {
	if offset < 0 || length <= 0 {
		return nil, registry.ErrRangeInvalid
	}
	release, err := s.u.partSlot(ctx)
	if err != nil {
		return nil, err
	}
	res, err := s.fetchRange(ctx, d, offset, length)
	if err != nil {
		release()
		return nil, err
	}
	res.Body = &partBody{res.Body, release}
	return res, nil
}

func (s *source) fetchRange(ctx context.Context, d digest.Digest, offset, length int64) (*fill.Response, error) {
	var res *fill.Response
	err := s.u.do(ctx, call{kind: "blob", content: content{s.repo, d},
		ask: func(ctx context.Context, e *endpoint, c *client.Client, a *attempt) error {
			if e.ranges.is() {
				return errNoRanges
			}
			got, err := c.Fetch(ctx, s.repo, d, &client.FetchOptions{Offset: offset, Length: length})
			if err != nil {
				return err
			}
			a.mu.Lock()
			status := a.status
			a.mu.Unlock()
			if status != http.StatusPartialContent {
				_ = got.Body.Close()
				e.ranges.set()
				return errNoRanges
			}
			res = s.response(e, d, got)
			return nil
		}})
	if err != nil {
		return nil, err
	}
	return res, nil
}

// Blame implements [fill.Source].
func (s *source) Blame(url string, d digest.Digest, _ error) {
	for _, e := range s.u.endpoints {
		if e.url == url {
			s.u.stats.failure("digest")
			s.u.blame.wrong(e, content{s.repo, d})
		}
	}
}

func (s *source) response(e *endpoint, d digest.Digest, got *client.Fetched) *fill.Response {
	if got.ETag != "" {
		s.u.blame.update(e, content{s.repo, d}, func(b *blame) { b.etag = got.ETag })
	}
	return &fill.Response{Offset: got.Offset, Size: got.Size, ETag: got.ETag, URL: e.url,
		Body: &blobBody{ReadCloser: got.Body, shared: s.u.shared, endpoint: e, content: content{s.repo, d}}}
}

// blobBody counts the bytes of a blob and remembers where bodies broke off.
type blobBody struct {
	io.ReadCloser
	*shared
	endpoint *endpoint
	content  content
	failed   atomic.Bool
}

// Read implements [io.Reader].
//
// Errors: registry.ErrUnavailable if the connection breaks or is silent for too long; ErrContent if
// the URL sends more than it has announced; that of the context.
func (b *blobBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.stats.bytes.Add(int64(n))
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	wrong := errors.Is(err, client.ErrContent)
	if wrong {
		err = fmt.Errorf("%w: %w", ErrContent, err)
	}
	if !wrong && !errors.Is(err, registry.ErrUnavailable) || b.failed.Swap(true) {
		return n, err
	}
	switch silent := errors.Is(err, errIdle); {
	case wrong:
		b.stats.failure("digest")
		b.blame.wrong(b.endpoint, b.content)
	case silent:
		b.stats.failure("idle")
		b.blame.broke(b.endpoint, b.content, true)
	default:
		b.stats.failure("broken")
		b.blame.broke(b.endpoint, b.content, false)
	}
	return n, err
}
