package harness

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/require"
)

// Busybox returns the path of the static program that the images contain.
func Busybox(t *testing.T) string {
	t.Helper()
	path, err := Tool("busybox")
	require.NoError(t, err)
	return path
}

// Image builds a runnable OCI image of two layers: busybox, and a file with the content unique.
func Image(t *testing.T, arch, unique string) v1.Image {
	t.Helper()
	busybox, err := os.ReadFile(Busybox(t))
	require.NoError(t, err)
	return image(t, arch,
		layer(t, tarOf(t, "bin/busybox", 0o755, int64(len(busybox)), bytes.NewReader(busybox))),
		layer(t, tarOf(t, "unique", 0o644, int64(len(unique)), bytes.NewReader([]byte(unique)))))
}

// BigImage builds an image with one layer of size bytes that does not compress. It stores the layer
// as a file in dir.
func BigImage(t *testing.T, dir string, seed uint64, size int64) v1.Image {
	t.Helper()
	path := filepath.Join(dir, "layer.tar")
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	writeTar(t, f, "big", 0o644, size, Random(seed, size))
	require.NoError(t, f.Close())
	l, err := tarball.LayerFromFile(path, tarball.WithMediaType(types.OCIUncompressedLayer),
		tarball.WithCompressionLevel(0))
	require.NoError(t, err)
	return image(t, "amd64", l)
}

// Layout writes an image or an index as an OCI layout and returns its folder.
func Layout(t *testing.T, content mutate.Appendable) string {
	t.Helper()
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	require.NoError(t, err)
	name := layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "latest"})
	switch c := content.(type) {
	case v1.Image:
		require.NoError(t, path.AppendImage(c, name))
	case v1.ImageIndex:
		require.NoError(t, path.AppendIndex(c, name))
	}
	return dir
}

// Index builds an index of images for two platforms.
func Index(t *testing.T, unique string) v1.ImageIndex {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range []string{"amd64", "arm64"} {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        Image(t, arch, unique+arch),
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	return index
}

func image(t *testing.T, arch string, layers ...v1.Layer) v1.Image {
	t.Helper()
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	img, err := mutate.ConfigFile(img, &v1.ConfigFile{
		OS: "linux", Architecture: arch, RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{Cmd: []string{"/bin/busybox", "cat", "/unique"}},
	})
	require.NoError(t, err)
	img, err = mutate.AppendLayers(img, layers...)
	require.NoError(t, err)
	return img
}

func layer(t *testing.T, content []byte) v1.Layer {
	t.Helper()
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}, tarball.WithMediaType(types.OCILayer))
	require.NoError(t, err)
	return l
}

func tarOf(t *testing.T, name string, mode, size int64, r io.Reader) []byte {
	t.Helper()
	var b bytes.Buffer
	writeTar(t, &b, name, mode, size, r)
	return b.Bytes()
}

func writeTar(t *testing.T, w io.Writer, name string, mode, size int64, r io.Reader) {
	t.Helper()
	tw := tar.NewWriter(w)
	require.NoError(t, tw.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: size}))
	_, err := io.Copy(tw, r)
	require.NoError(t, err)
	require.NoError(t, tw.Close())
}
