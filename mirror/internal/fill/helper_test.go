package fill_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror/internal/fill"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv("FILL_TEST_CLIENTS"); spec != "" {
		os.Exit(runClients(spec))
	}
	goleak.VerifyTestMain(m)
}

const repo = "docker.io/library/alpine"

// source is a Source over HTTP, with any number of URLs and no memory of failures but Blame.
type source struct {
	client *http.Client
	urls   []string

	mu     sync.Mutex
	blamed map[string]error
}

// newSource returns a source with the URLs of servers.
func newSource(t testing.TB, servers ...*upstreamtest.Server) *source {
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	s := &source{client: &http.Client{Transport: tr}, blamed: map[string]error{}}
	for _, server := range servers {
		s.urls = append(s.urls, server.URL)
	}
	return s
}

// Fetch implements [fill.Source].
func (s *source) Fetch(ctx context.Context, d digest.Digest, offset int64, etag string) (*fill.Response, error) {
	header := http.Header{}
	if offset > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	return s.get(ctx, d, header)
}

// FetchRange implements [fill.Source].
func (s *source) FetchRange(ctx context.Context, d digest.Digest, offset, length int64) (*fill.Response, error) {
	r, err := s.get(ctx, d, http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)}})
	if err == nil && r.Offset != offset {
		_ = r.Body.Close()
		return nil, registry.ErrUnsupported
	}
	return r, err
}

// Blame implements [fill.Source].
func (s *source) Blame(url string, _ digest.Digest, reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blamed[url] = reason
}

// blames returns why a URL is blamed, or nil.
func (s *source) blames(url string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blamed[url]
}

func (s *source) get(ctx context.Context, d digest.Digest, header http.Header) (*fill.Response, error) {
	err := error(registry.ErrUnavailable)
	for _, url := range s.urls {
		if s.blames(url) != nil {
			continue
		}
		var r *fill.Response
		if r, err = s.ask(ctx, url, d, header); err == nil || !errors.Is(err, registry.ErrUnavailable) {
			return r, err
		}
	}
	return nil, err
}

func (s *source) ask(ctx context.Context, url string, d digest.Digest, header http.Header) (*fill.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v2/library/alpine/blobs/"+string(d), nil)
	if err != nil {
		return nil, err
	}
	req.Header = header.Clone()
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, registry.ErrUnavailable.WithCause(err)
	}
	r := &fill.Response{Body: resp.Body, Size: resp.ContentLength, ETag: resp.Header.Get("ETag"), URL: url}
	switch resp.StatusCode {
	case http.StatusOK:
		return r, nil
	case http.StatusPartialContent:
		part, size, _ := strings.Cut(strings.TrimPrefix(resp.Header.Get("Content-Range"), "bytes "), "/")
		first, _, _ := strings.Cut(part, "-")
		r.Offset, _ = strconv.ParseInt(first, 10, 64)
		if r.Size, err = strconv.ParseInt(size, 10, 64); err != nil {
			r.Size = -1
		}
		return r, nil
	}
	_ = resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusNotFound:
		return nil, registry.ErrBlobUnknown
	case http.StatusTooManyRequests:
		return nil, registry.ErrTooManyRequests.WithRetryAfter(7 * time.Second)
	}
	return nil, registry.ErrUnavailable.WithCause(fmt.Errorf("status %d", resp.StatusCode))
}

// content returns n random bytes, always the same for a seed.
func content(seed uint64, n int) []byte {
	b := make([]byte, n)
	var key [32]byte
	key[0] = byte(seed)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

// replica is a process with a store and fills.
type replica struct {
	store *storage.Store
	fills *fill.Fills
}

// newReplica starts a process over the storage d.
func newReplica(t testing.TB, d driver.Driver, opts *fill.Options) *replica {
	store, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	f := fill.New(store, d, opts)
	t.Cleanup(f.Close)
	return &replica{store, f}
}

// quick are options with which a test of replicas does not take long.
func quick() *fill.Options {
	return &fill.Options{Block: 64 << 10, Lease: 300 * time.Millisecond}
}

// upstream returns a server that has a blob.
func upstream(t testing.TB, blob []byte) *upstreamtest.Server {
	s := upstreamtest.New(t)
	s.Blob("library/alpine", blob)
	return s
}

// request returns a request for a blob whose size is known.
func request(blob []byte, s fill.Source) *fill.Request {
	return &fill.Request{Repository: repo, Digest: digest.FromBytes(blob), Size: int64(len(blob)), Source: s}
}

// read reads all of a blob from the position first on.
func (r *replica) read(ctx context.Context, req *fill.Request, first int64) ([]byte, error) {
	b, err := r.fills.Open(ctx, req)
	if err != nil {
		return nil, err
	}
	defer b.Body.Close()
	if _, err := b.Body.Seek(first, io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(b.Body)
}

// requireRead requires that the blob can be read.
func (r *replica) requireRead(t testing.TB, req *fill.Request, blob []byte) {
	t.Helper()
	got, err := r.read(t.Context(), req, 0)
	require.NoError(t, err)
	require.True(t, bytes.Equal(blob, got), "%d bytes instead of %d", len(got), len(blob))
}

// requireStored requires that the store has the blob, and nothing else is left of its fill.
func (r *replica) requireStored(t testing.TB, d driver.Driver, blob []byte) {
	t.Helper()
	r.fills.Close()
	b, err := r.store.OpenBlob(t.Context(), repo, digest.FromBytes(blob), nil)
	require.NoError(t, err)
	defer b.Body.Close()
	got, err := io.ReadAll(b.Body)
	require.NoError(t, err)
	require.True(t, bytes.Equal(blob, got))
	require.Empty(t, keys(t, d, "m/"))
}

// requireNothing requires that the store does not have the blob.
func (r *replica) requireNothing(t testing.TB, blob []byte) {
	t.Helper()
	_, err := r.store.StatBlob(t.Context(), repo, digest.FromBytes(blob), nil)
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
}

// keys returns the keys that begin with prefix.
func keys(t testing.TB, d driver.Driver, prefix string) []string {
	var keys []string
	for info, err := range d.List(t.Context(), prefix, nil) {
		require.NoError(t, err)
		keys = append(keys, info.Key)
	}
	return keys
}
