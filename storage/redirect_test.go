package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// signer is a driver that signs URLs until err is set.
type signer struct {
	driver.Driver
	signed atomic.Int64
	err    error
}

func (s *signer) SignedURL(_ context.Context, key string, expiry time.Duration) (string, error) {
	return fmt.Sprintf("https://bucket.example/%s?expires=%s&n=%d", key, expiry, s.signed.Add(1)), s.err
}

func TestRedirect(t *testing.T) {
	ctx := t.Context()
	d := &signer{Driver: newMemory(t)}
	s := newStore(t, d, &storage.Options{Redirect: &storage.RedirectOptions{MinSize: 50_000,
		Expiry: 200 * time.Millisecond}})
	large, small := pushBlob(t, s, "r", random(1, 50_000)), pushBlob(t, s, "r", random(2, 49_999))
	open := func(s *storage.Store, desc ocispec.Descriptor, opts *registry.OpenOptions) string {
		b, err := s.OpenBlob(ctx, "r", desc.Digest, opts)
		require.NoError(t, err)
		require.Equal(t, desc, b.Descriptor)
		if b.URL == "" {
			require.NoError(t, b.Body.Close())
		}
		return b.URL
	}
	allow := &registry.OpenOptions{AllowURL: true}
	require.Empty(t, open(s, large, nil))
	require.Empty(t, open(s, small, allow))
	url := open(s, large, allow)
	require.Regexp(t, `^https://bucket\.example/data/../[0-9a-f.]+\?expires=200ms&n=1$`, url)
	require.Equal(t, url, open(s, large, allow), "the URL is reused")
	time.Sleep(110 * time.Millisecond)
	require.True(t, strings.HasSuffix(open(s, large, allow), "&n=2"),
		"a URL with less than half of its time left is not reused")

	_, err := s.OpenBlob(ctx, "other", large.Digest, allow)
	require.ErrorIs(t, err, registry.ErrBlobUnknown, "a remembered URL gives no access")
	u, err := s.CreateUpload(ctx, "r", nil)
	require.NoError(t, err)
	for i := range 2 {
		_, err = u.Append(ctx, int64(i*40_000), 40_000, bytes.NewReader(random(uint64(i), 40_000)))
		require.NoError(t, err)
	}
	parts, err := u.Commit(ctx, digest.FromBytes(append(random(0, 40_000), random(1, 40_000)...)), nil)
	require.NoError(t, err)
	require.Empty(t, open(s, parts, allow), "a blob in several objects has no URL")

	d.err = errors.ErrUnsupported
	require.Empty(t, open(newStore(t, d, &storage.Options{Redirect: &storage.RedirectOptions{MinSize: 1}}), large,
		allow), "the registry serves the blob")
	d.err = nil
	var rewrites atomic.Int64
	cdn := newStore(t, d, &storage.Options{Redirect: &storage.RedirectOptions{MinSize: 1,
		Rewrite: func(_ context.Context, url string) (string, error) {
			if rewrites.Add(1) > 1 {
				return "", errors.New("no")
			}
			return strings.Replace(url, "bucket.", "cdn.", 1), nil
		}}})
	require.Contains(t, open(cdn, large, allow), "https://cdn.example/data/")
	require.Contains(t, open(cdn, large, allow), "https://cdn.example/data/")
	require.EqualValues(t, 1, rewrites.Load())
	require.Empty(t, open(cdn, small, allow), "after a failure, the registry serves the blob")

	_, err = storage.New(ctx, newMemory(t), &storage.Options{Redirect: &storage.RedirectOptions{Expiry: -1}})
	require.Error(t, err)
}
