package clients

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// ctr starts a containerd below a temporary folder, without its Kubernetes part.
func ctr(t *testing.T) *harness.Program {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctr-") // short: a socket's path may have 108 bytes
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	config := filepath.Join(dir, "config.toml")
	require.NoError(t, os.WriteFile(config, []byte(`version = 2
root = "`+dir+`/root"
state = "`+dir+`/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "`+dir+`/s.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "`+dir+`/opt"
`), 0o644))
	c := harness.NewProgram(t, "ctr", "--address", dir+"/s.sock")
	harness.Daemon(t, func() error { _, _, err := c.Try(t, "version"); return err }, "containerd", "--config", config)
	return c
}

func TestContainerd(t *testing.T) {
	c, ref := ctr(t), registry.Addr+"/containerd/index:all"
	// containerd imports a tar of an OCI layout, and names the layout's own index.json.
	layout := harness.Layout(t, harness.Index(t, t.Name()))
	b, err := os.ReadFile(filepath.Join(layout, "index.json"))
	require.NoError(t, err)
	want := digest.FromBytes(b)
	tar := filepath.Join(t.TempDir(), "image.tar")
	harness.NewProgram(t, "tar").Run(t, "-C", layout, "-cf", tar, ".")
	c.Run(t, "images", "import", "--all-platforms", "--snapshotter", "native", "--index-name", "local", tar)
	c.Run(t, "images", "push", "--plain-http", ref, "local")
	require.Equal(t, want.String(), digestOf(t, "containerd/index", "all"))

	c.Run(t, "images", "rm", "--sync", "local")
	c.Run(t, "images", "pull", "--plain-http", "--snapshotter", "native", "--all-platforms", ref)
	require.Contains(t, c.Run(t, "images", "ls", "name=="+ref), want.String())
	c.Run(t, "images", "check", "--snapshotter", "native", "name=="+ref)
}
