package layout_test

import (
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/layout"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/replicate"
)

// open opens a layout for the duration of the test.
func open(t *testing.T, path string, opts *layout.Options) *layout.Layout {
	t.Helper()
	l, err := layout.Open(path, opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

// create creates a layout for the duration of the test.
func create(t *testing.T, path string, opts *layout.Options) *layout.Layout {
	t.Helper()
	l, err := layout.Create(path, opts)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Abort() })
	return l
}

// requireContent requires that a backend has content byte for byte.
func requireContent(t *testing.T, b registry.Backend, repo string, c *registrytest.Content) {
	t.Helper()
	m, err := b.GetManifest(t.Context(), repo, reference.Ref{Digest: c.Descriptor.Digest})
	require.NoError(t, err)
	require.Equal(t, c.Descriptor, m.Descriptor)
	require.Equal(t, string(c.Manifest), string(m.Content))
	for _, content := range c.Blobs {
		require.Equal(t, content, readBlob(t, b, repo, digest.FromBytes(content)))
	}
	for _, child := range c.Children {
		requireContent(t, b, repo, child)
	}
}

func readBlob(t *testing.T, b registry.Backend, repo string, d digest.Digest) []byte {
	t.Helper()
	blob, err := b.OpenBlob(t.Context(), repo, d, nil)
	require.NoError(t, err)
	defer blob.Body.Close()
	content, err := io.ReadAll(blob.Body)
	require.NoError(t, err)
	require.Len(t, content, int(blob.Descriptor.Size))
	return content
}

// requireTag requires that a tag points at a manifest.
func requireTag(t *testing.T, b registry.Backend, repo, tag string, want ocispec.Descriptor) {
	t.Helper()
	desc, err := b.StatManifest(t.Context(), repo, reference.Ref{Tag: tag}, nil)
	require.NoError(t, err, "%s:%s", repo, tag)
	require.Equal(t, want, desc)
}

// collect returns what a list yields.
func collect[T any](t *testing.T, list func(func(T, error) bool)) []T {
	t.Helper()
	all := []T{}
	for v, err := range list {
		require.NoError(t, err)
		all = append(all, v)
	}
	return all
}

// copyTo copies a tag with its referrers.
func copyTo(t *testing.T, dst, src registry.Backend, ref string) {
	t.Helper()
	_, err := replicate.Copy(t.Context(), dst, src, ref, &replicate.Options{Referrers: true})
	require.NoError(t, err)
}
