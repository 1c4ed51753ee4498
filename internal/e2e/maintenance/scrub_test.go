package maintenance

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// TestScrub changes a byte of a layer on the disk, under a running server. A scrub finds it, the
// server says that the layer is missing instead of serving wrong bytes, and the next push heals it.
func TestScrub(t *testing.T) {
	storage := filepath.Join(t.TempDir(), "data")
	s := serve(t, storage)
	push(t, s, "team/app:v1", t.Name())
	push(t, s, "team/other:v1", t.Name()) // shares the layers
	succeed(t, nil, "scrub", "-storage", storage)

	layer := largest(t, s)
	flip(t, storage, layer.Size)
	status, out, errs := run(t, "scrub", "-storage", storage, "-json")
	require.Equal(t, 3, status, "%s%s", out, errs)
	require.Contains(t, out, string(layer.Digest))
	status, out, errs = run(t, "scrub", "-storage", storage, "-repair", "-json")
	require.Equal(t, 3, status, "%s%s", out, errs)
	require.Contains(t, out, "quarantined")
	c := harness.NewClient(s.URL())
	for _, repo := range []string{"team/app", "team/other"} {
		for _, method := range []string{"GET", "HEAD"} {
			_, err := c.Do(t.Context(), 404, method, "/v2/"+repo+"/blobs/"+layer.Digest.String(), nil, nil)
			require.NoError(t, err, repo)
		}
	}
	// crane would find the manifest, and send nothing.
	image := "oci:" + harness.Layout(t, harness.Image(t, "amd64", t.Name())) + ":latest"
	for _, repo := range []string{"team/app", "team/other"} {
		harness.NewProgram(t, "skopeo").Run(t, "copy", "--preserve-digests", "--dest-tls-verify=false", image,
			"docker://"+s.Addr+"/"+repo+":v1")
	}
	for _, repo := range []string{"team/app", "team/other"} {
		harness.NewProgram(t, "crane").Run(t, "validate", "--remote", s.Addr+"/"+repo+":v1")
	}
	succeed(t, nil, "scrub", "-storage", storage)
	succeed(t, nil, "collect", "-storage", storage, "-dry-run")
}

// largest returns the largest layer of team/app:v1.
func largest(t *testing.T, s *harness.Server) (layer imagespec.Descriptor) {
	t.Helper()
	var m imagespec.Manifest
	require.NoError(t, json.Unmarshal(s.ManifestOf(t, "team/app", "v1"), &m))
	for _, l := range m.Layers {
		if l.Size > layer.Size {
			layer = l
		}
	}
	require.NotZero(t, layer.Size)
	return layer
}

// flip changes one byte in the file of a storage that has about the given size.
func flip(t *testing.T, storage string, size int64) {
	t.Helper()
	flipped := 0
	data := filepath.Join(storage, "objects", "data")
	require.NoError(t, filepath.WalkDir(data, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil || info.Size() < size-(64<<10) || info.Size() > size {
			return err
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		var b [1]byte
		if _, err := f.ReadAt(b[:], info.Size()/2); err != nil {
			return err
		}
		b[0] ^= 1
		_, err = f.WriteAt(b[:], info.Size()/2)
		flipped++
		return err
	}))
	require.Positive(t, flipped)
}
