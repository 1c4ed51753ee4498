package clients

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

func TestCraneImage(t *testing.T) {
	c, ref := harness.NewProgram(t, "crane"), registry.Addr+"/crane/image"
	img := harness.Image(t, "amd64", t.Name())
	want, err := img.Digest()
	require.NoError(t, err)

	c.Run(t, "push", harness.Layout(t, img), ref+":one")
	c.Run(t, "tag", ref+":one", "two")
	require.Equal(t, want.String()+"\n", c.Run(t, "digest", ref+":two"))
	require.Equal(t, []string{"one", "two"}, lines(c.Run(t, "ls", ref)))
	require.Contains(t, lines(c.Run(t, "catalog", registry.Addr)), "crane/image")
	c.Run(t, "validate", "--remote", ref+":one")

	dir := t.TempDir()
	c.Run(t, "pull", "--format=oci", ref+":one", filepath.Join(dir, "oci"))
	c.Run(t, "pull", ref+":one", filepath.Join(dir, "image.tar"))

	// crane copies between repositories of one registry by mounting: the config and two layers.
	seen := harness.NewRecorder(t, registry.URL())
	c.Run(t, "copy", seen.Addr+"/crane/image:one", seen.Addr+"/crane/mounted:one")
	require.Equal(t, 3, seen.Count(`^POST /v2/crane/mounted/blobs/uploads/\?.*mount=.* 201$`), "%s", seen)
	c.Run(t, "validate", "--remote", registry.Addr+"/crane/mounted:one")

	c.Run(t, "delete", ref+"@"+want.String())
	gone(t, "crane/image", "one")
	gone(t, "crane/image", "two")
	c.Run(t, "validate", "--remote", registry.Addr+"/crane/mounted:one")
}

func TestCraneDeleteTag(t *testing.T) {
	c, ref := harness.NewProgram(t, "crane"), registry.Addr+"/crane/tags"
	dir := harness.Layout(t, harness.Image(t, "amd64", t.Name()))
	c.Run(t, "push", dir, ref+":keep")
	c.Run(t, "push", dir, ref+":drop")
	c.Run(t, "delete", ref+":drop")
	gone(t, "crane/tags", "drop")
	require.Equal(t, []string{"keep"}, lines(c.Run(t, "ls", ref)))
	c.Run(t, "validate", "--remote", ref+":keep")
}

func TestCraneIndex(t *testing.T) {
	c, ref := harness.NewProgram(t, "crane"), registry.Addr+"/crane/index:latest"
	index := harness.Index(t, t.Name())
	want, err := index.Digest()
	require.NoError(t, err)
	c.Run(t, "push", "--index", harness.Layout(t, index), ref)
	got := c.Run(t, "manifest", ref)
	var m struct {
		Manifests []struct {
			Digest    string
			MediaType string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(got), &m))
	// The layout's own index.json is pushed: it holds one index.
	require.Len(t, m.Manifests, 1)
	require.Equal(t, want.String(), m.Manifests[0].Digest)
	for _, platform := range []string{"linux/amd64", "linux/arm64"} {
		c.Run(t, "validate", "--remote", registry.Addr+"/crane/index@"+want.String())
		require.NotEmpty(t, c.Run(t, "config", "--platform", platform, registry.Addr+"/crane/index@"+want.String()))
	}
}

// TestCraneBigLayer moves a layer of 500 MB both ways.
func TestCraneBigLayer(t *testing.T) {
	c, ref := harness.NewProgram(t, "crane"), registry.Addr+"/crane/big:latest"
	c.Run(t, "push", harness.Layout(t, harness.BigImage(t, t.TempDir(), 2, 500_000_000)), ref)
	c.Run(t, "validate", "--remote", ref) // pulls all, and checks digests and sizes
}
