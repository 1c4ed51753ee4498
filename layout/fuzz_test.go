package layout_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/layout"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
)

// FuzzArchive: Open refuses an archive or reads it within its limits. What it serves has its
// digest.
func FuzzArchive(f *testing.F) {
	t := &testing.T{}
	image := registrytest.RandomImage(1, 1, 100)
	f.Add(archiveOf(t, layoutOf(t, map[string]*registrytest.Content{"v1": image, "a/b:v2": registrytest.Index(image)})...))
	f.Add(archiveOf(t, savedArchive(t, saved(t, 1, "app:v1"))...))
	f.Add(zipped(t, archiveOf(t, savedArchive(t, saved(t, 1, "app:v1"))...)))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "x.tar")
		require.NoError(t, os.WriteFile(path, content, 0o600))
		l, err := layout.Open(path, &layout.Options{MaxUnpacked: 1 << 20, MaxFiles: 100, TempDir: t.TempDir()})
		if err != nil {
			return
		}
		defer l.Close()
		readEverything(t, l)
	})
}

// FuzzIndex: the same for the index.json of a directory.
func FuzzIndex(f *testing.F) {
	image := registrytest.RandomImage(1, 1, 100)
	f.Add(encode(&testing.T{}, registrytest.Index(image)))
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"` + string(image.Descriptor.Digest) +
		`","size":1,"annotations":{"org.opencontainers.image.ref.name":"v1"}}]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		files := append(blobsOf(image), regular("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)),
			regular("index.json", content))
		dir := placed(t, "dir", files)
		l, err := layout.Open(dir, nil)
		if err != nil {
			return
		}
		readEverything(t, l)
		require.NoError(t, l.Close())
		// A push keeps what is there.
		w, err := layout.Create(dir, nil)
		require.NoError(t, err)
		before, err := w.Roots(t.Context())
		require.NoError(t, err)
		other := registrytest.RandomImage(9, 1, 10)
		require.NoError(t, other.Push(t.Context(), w, "new/repository", "tag"))
		require.NoError(t, w.Close())
		l, err = layout.Open(dir, nil)
		require.NoError(t, err)
		after, err := l.Roots(t.Context())
		require.NoError(t, err)
		require.Subset(t, after, before)
		requireTag(t, l, "new/repository", "tag", other.Descriptor)
		require.NoError(t, l.Close())
	})
}

// readEverything reads what a layout has.
func readEverything(t *testing.T, l *layout.Layout) {
	roots, err := l.Roots(t.Context())
	require.NoError(t, err)
	for _, r := range roots {
		repo := r.Repository
		if repo == "" {
			repo = layout.DefaultRepository
		}
		m, err := l.GetManifest(t.Context(), repo, reference.Ref{Digest: r.Descriptor.Digest})
		if err == nil {
			require.Equal(t, r.Descriptor.Digest, r.Descriptor.Digest.Algorithm().FromBytes(m.Content))
		}
		if r.Tag != "" {
			_, _ = l.GetManifest(t.Context(), repo, reference.Ref{Tag: r.Tag})
		}
		for range l.Referrers(t.Context(), repo, r.Descriptor.Digest, nil) {
		}
		for range l.Tags(t.Context(), repo, nil) {
		}
		blob, err := l.OpenBlob(t.Context(), repo, r.Descriptor.Digest, nil)
		if err != nil {
			continue
		}
		content, err := io.ReadAll(blob.Body)
		if err == nil {
			require.Equal(t, r.Descriptor.Digest, digest.FromBytes(content))
		}
		require.NoError(t, blob.Body.Close())
	}
}
