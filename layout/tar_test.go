package layout_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/registrytest"
)

// file is an entry of an archive: a header and the content of a regular file.
type file struct {
	tar.Header
	content []byte
}

// regular returns a regular file.
func regular(name string, content []byte) file {
	return file{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, content}
}

// archiveOf returns a tar archive.
func archiveOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		f.Size = int64(len(f.content))
		require.NoError(t, w.WriteHeader(&f.Header))
		_, err := w.Write(f.content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

// save writes a file into a folder of its own.
func save(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

// layoutOf returns the files of a layout with images, each under a tag.
func layoutOf(t testing.TB, tags map[string]*registrytest.Content) []file {
	t.Helper()
	var index ocispec.Index
	index.SchemaVersion = 2
	files := []file{regular("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))}
	for tag, c := range tags {
		desc := c.Descriptor
		desc.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
		index.Manifests = append(index.Manifests, desc)
		files = append(files, blobsOf(c)...)
	}
	return append(files, regular("index.json", encode(t, index)))
}

// blobsOf returns the blobs of content.
func blobsOf(c *registrytest.Content) []file {
	files := []file{blob(c.Manifest)}
	for _, b := range c.Blobs {
		files = append(files, blob(b))
	}
	for _, child := range c.Children {
		files = append(files, blobsOf(child)...)
	}
	return files
}

func blob(content []byte) file {
	return regular("blobs/sha256/"+digest.FromBytes(content).Encoded(), content)
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return b
}

// zipped returns content compressed with gzip.
func zipped(t testing.TB, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}
