package harness

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// ShortDir returns a temporary folder for a program that creates a socket in it. The path of a
// socket has at most 108 bytes; t.TempDir contains the name of the test and may be too long.
func ShortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// Docker starts a Docker engine whose data, socket and state are below a temporary folder, and
// returns its client. The engine has no network of its own. It accepts plain HTTP from loopback
// addresses only. args are further arguments of the engine.
func Docker(t *testing.T, args ...string) *Program {
	t.Helper()
	dir := ShortDir(t)
	// The engine leaves a mount, which would prevent the removal of the folder.
	t.Cleanup(func() { _ = syscall.Unmount(filepath.Join(dir, "exec", "netns", "default"), syscall.MNT_DETACH) })
	host := "unix://" + dir + "/s.sock"
	d := NewProgram(t, "docker", "--host", host)
	d.Env = append(d.Env, "DOCKER_BUILDKIT=0")
	Daemon(t, func() error { _, _, err := d.Try(t, "version"); return err },
		"dockerd", append([]string{"--data-root", dir + "/root", "--exec-root", dir + "/exec", "--pidfile", dir + "/pid",
			"-H", host, "--storage-driver", "vfs", "--iptables=false", "--ip6tables=false", "--bridge=none"}, args...)...)
	return d
}

// Podman returns podman with its images below a temporary folder.
func Podman(t *testing.T) *Program {
	t.Helper()
	dir := ShortDir(t) // podman requires a short path
	p := NewProgram(t, "podman", "--root", dir+"/root", "--runroot", dir+"/run", "--tmpdir", dir+"/tmp",
		"--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none")
	t.Cleanup(func() { _, _, _ = p.Try(t, "rmi", "--all", "--force") })
	return p
}

// PodmanPartial returns a podman that pulls layers of zstd:chunked in parts: it fetches only the
// files of a layer that it does not have. Only the overlay driver supports this.
func PodmanPartial(t *testing.T) *Program {
	t.Helper()
	dir := ShortDir(t)
	config := filepath.Join(dir, "storage.conf")
	require.NoError(t, os.WriteFile(config, []byte(`[storage]
driver = "overlay"
graphroot = "`+dir+`/root"
runroot = "`+dir+`/run"
[storage.options]
pull_options = {enable_partial_images = "true", use_hard_links = "false", ostree_repos = ""}
`), 0o644))
	p := NewProgram(t, "podman", "--root", dir+"/root", "--runroot", dir+"/run", "--tmpdir", dir+"/tmp",
		"--storage-driver", "overlay", "--cgroup-manager", "cgroupfs", "--events-backend", "none")
	p.Env = append(p.Env, "CONTAINERS_STORAGE_CONF="+config)
	t.Cleanup(func() {
		_, _, _ = p.Try(t, "rmi", "--all", "--force")
		_ = syscall.Unmount(dir+"/root/overlay", syscall.MNT_DETACH) // podman leaves this mount
	})
	return p
}

// Containerd starts a containerd below a temporary folder, without its Kubernetes plugin, and
// returns its client.
func Containerd(t *testing.T) *Program {
	t.Helper()
	dir := ShortDir(t)
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
	c := NewProgram(t, "ctr", "--address", dir+"/s.sock")
	Daemon(t, func() error { _, _, err := c.Try(t, "version"); return err }, "containerd", "--config", config)
	return c
}

// BuildContext writes a build context and returns its folder. The context contains busybox, a file
// with the content unique, and a Dockerfile that ends with the given instructions.
func BuildContext(t *testing.T, unique, instructions string) string {
	t.Helper()
	dir := t.TempDir()
	b, err := os.ReadFile(Busybox(t))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "busybox"), b, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "unique"), []byte(unique), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY busybox /bin/busybox\n"+
		"COPY unique /unique\nCMD [\"/bin/busybox\", \"cat\", \"/unique\"]\n"+instructions), 0o644))
	return dir
}
