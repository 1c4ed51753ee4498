package clients

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

func TestContainerd(t *testing.T) {
	c, ref := harness.Containerd(t), registry.Addr+"/containerd/index:all"
	// containerd imports a tar of an OCI layout, and names the layout's own index.json.
	layout := harness.Layout(t, harness.Index(t, t.Name()))
	b, err := os.ReadFile(filepath.Join(layout, "index.json"))
	require.NoError(t, err)
	want := digest.FromBytes(b)
	tar := filepath.Join(t.TempDir(), "image.tar")
	harness.NewProgram(t, "tar").Run(t, "-C", layout, "-cf", tar, ".")
	c.Run(t, "images", "import", "--all-platforms", "--snapshotter", "native", "--index-name", "local", tar)
	c.Run(t, "images", "push", "--plain-http", ref, "local")
	require.Equal(t, want.String(), registry.DigestOf(t, "containerd/index", "all"))

	c.Run(t, "images", "rm", "--sync", "local")
	c.Run(t, "images", "pull", "--plain-http", "--snapshotter", "native", "--all-platforms", ref)
	require.Contains(t, c.Run(t, "images", "ls", "name=="+ref), want.String())
	c.Run(t, "images", "check", "--snapshotter", "native", "name=="+ref)
}
