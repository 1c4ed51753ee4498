package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror/internal/fill"
	"github.com/registrykit/registry/mirror/internal/upstream"
	"github.com/registrykit/registry/reference"
)

// Short names for what a match selects.
var (
	manifests = upstreamtest.Match{Kind: upstreamtest.Manifest}
	blobs     = upstreamtest.Match{Kind: upstreamtest.Blob}
	all       = upstreamtest.Match{}
)

// newUpstream returns an Upstream of servers with sockets. change may be nil.
func newUpstream(t *testing.T, change func(*upstream.Options), servers ...*upstreamtest.Server) *upstream.Upstream {
	t.Helper()
	o := upstream.Options{Name: "test", Via: "mirror"}
	for _, s := range servers {
		o.URLs = append(o.URLs, s.URL)
	}
	if change != nil {
		change(&o)
	}
	u, err := upstream.New(o)
	require.NoError(t, err)
	t.Cleanup(u.Close)
	return u
}

// inMemory returns n servers without sockets, and an Upstream of them, for a bubble.
func inMemory(t *testing.T, n int, change func(*upstream.Options)) (*upstream.Upstream, []*upstreamtest.Server) {
	t.Helper()
	var servers []*upstreamtest.Server
	for i := range n {
		servers = append(servers, upstreamtest.NewInMemory(t, "127.0.0.1:"+string(rune('1'+i))))
	}
	u := newUpstream(t, func(o *upstream.Options) {
		o.Transport = upstreamtest.Transport(t, servers...)
		if change != nil {
			change(o)
		}
	}, servers...)
	return u, servers
}

// content returns n bytes that look random and are the same for each seed.
func content(n int, seed uint64) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// fetch reads a blob from offset on and returns the response and its bytes. The error is that of
// Fetch or of the body.
func fetch(ctx context.Context, u *upstream.Upstream, repo string, d digest.Digest, offset int64,
	etag string) (*fill.Response, []byte, error) {
	res, err := u.Blobs(repo).Fetch(ctx, d, offset, etag)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res, b, err
}

// stat asks for the manifest of a tag.
func stat(ctx context.Context, u *upstream.Upstream, repo, tag string) error {
	_, err := u.StatManifest(ctx, repo, reference.Ref{Tag: tag})
	return err
}

// unavailable requires an error that is registry.ErrUnavailable and says when to try again.
func unavailable(t *testing.T, err error) *registry.Error {
	t.Helper()
	require.ErrorIs(t, err, registry.ErrUnavailable)
	var e *registry.Error
	require.True(t, errors.As(err, &e))
	require.Positive(t, e.RetryAfter())
	return e
}

// same requires equal bytes without printing them.
func same(t *testing.T, want, got []byte) {
	t.Helper()
	require.True(t, bytes.Equal(want, got), "%d bytes instead of %d, or other ones", len(got), len(want))
}

// ref returns the reference of a tag.
func ref(tag string) reference.Ref { return reference.Ref{Tag: tag} }
