package layout_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/layout"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/replicate"
)

// BenchmarkExport copies an image of 64 MiB from memory to an archive or a directory.
func BenchmarkExport(b *testing.B) {
	src := registrytest.NewStore(b)
	require.NoError(b, registrytest.RandomImage(1, 4, 16<<20).Push(b.Context(), src, "a", "v1"))
	for _, name := range []string{"dir", "file.tar"} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(64 << 20)
			b.ReportAllocs()
			for b.Loop() {
				l, err := layout.Create(filepath.Join(b.TempDir(), name), nil)
				require.NoError(b, err)
				_, err = replicate.Copy(b.Context(), l, src, "a:v1", nil)
				require.NoError(b, err)
				require.NoError(b, l.Close())
			}
		})
	}
}

// BenchmarkRead reads a blob of 64 MiB from an archive, which verifies it.
func BenchmarkRead(b *testing.B) {
	content := registrytest.RandomBytes(1, 64<<20)
	path := filepath.Join(b.TempDir(), "file.tar")
	l, err := layout.Create(path, nil)
	require.NoError(b, err)
	_, err = registry.PushBlob(b.Context(), l, "a", "", bytes.NewReader(content))
	require.NoError(b, err)
	require.NoError(b, l.Close())
	l, err = layout.Open(path, nil)
	require.NoError(b, err)
	defer l.Close()
	b.SetBytes(64 << 20)
	for b.Loop() {
		blob, err := l.OpenBlob(b.Context(), "a", digest.FromBytes(content), nil)
		require.NoError(b, err)
		_, err = io.Copy(io.Discard, blob.Body)
		require.NoError(b, err)
		require.NoError(b, blob.Body.Close())
	}
}

// BenchmarkTag adds a tag to a directory that has 10,000.
func BenchmarkTag(b *testing.B) {
	dir := b.TempDir()
	image := registrytest.RandomImage(1, 1, 10)
	l, err := layout.Create(dir, &layout.Options{Repository: "a"})
	require.NoError(b, err)
	require.NoError(b, image.Push(b.Context(), l, "a"))
	var index ocispec.Index
	for i := range 10_000 {
		desc := image.Descriptor
		desc.Annotations = map[string]string{ocispec.AnnotationRefName: fmt.Sprint("t", i)}
		index.Manifests = append(index.Manifests, desc)
	}
	content, err := json.Marshal(index)
	require.NoError(b, err)
	require.NoError(b, os.WriteFile(dir+"/index.json", content, 0o600))
	i := 0
	for b.Loop() {
		i++
		require.NoError(b, image.Push(b.Context(), l, "a", fmt.Sprint("new", i)))
	}
	require.NoError(b, l.Close())
}

// BenchmarkOpen opens an archive of 100,000 files.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "file.tar")
	files := layoutOf(b, nil)
	for i := range 100_000 {
		files = append(files, blob(fmt.Append(nil, i)))
	}
	require.NoError(b, os.WriteFile(path, archiveOf(b, files...), 0o600))
	b.ReportAllocs()
	for b.Loop() {
		l, err := layout.Open(path, nil)
		require.NoError(b, err)
		require.NoError(b, l.Close())
	}
}
