package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// docker starts a Docker engine whose data, socket and state are below a temporary folder. It needs no network of its own.
func docker(t *testing.T) *harness.Program {
	t.Helper()
	dir, err := os.MkdirTemp("", "docker-") // a socket's path may have 108 bytes: t.TempDir is too deep
	require.NoError(t, err)
	t.Cleanup(func() {
		// The engine leaves a mount behind, that would keep the folder.
		_ = syscall.Unmount(filepath.Join(dir, "exec", "netns", "default"), syscall.MNT_DETACH)
		require.NoError(t, os.RemoveAll(dir))
	})
	host := "unix://" + dir + "/s.sock"
	d := harness.NewProgram(t, "docker", "--host", host)
	d.Env = append(d.Env, "DOCKER_BUILDKIT=0")
	harness.Daemon(t, func() error { _, _, err := d.Try(t, "version"); return err },
		"dockerd", "--data-root", dir+"/root", "--exec-root", dir+"/exec", "--pidfile", dir+"/pid", "-H", host,
		"--storage-driver", "vfs", "--iptables=false", "--ip6tables=false", "--bridge=none",
		"--insecure-registry", "127.0.0.0/8")
	return d
}

// context writes a build context: busybox and a file of its own.
func context(t *testing.T, unique string) string {
	t.Helper()
	dir := t.TempDir()
	b, err := os.ReadFile(harness.Busybox(t))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "busybox"), b, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "unique"), []byte(unique), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Dockerfile"),
		[]byte("FROM scratch\nCOPY busybox /bin/busybox\nCOPY unique /unique\nCMD [\"/bin/busybox\", \"cat\", \"/unique\"]\n"), 0o644))
	return dir
}

func TestDocker(t *testing.T) {
	d, seen := docker(t), record(t)
	image, other := seen.Addr+"/docker/image:one", seen.Addr+"/docker/other:one"
	d.Run(t, "build", "-q", "-t", image, "-t", other, context(t, t.Name()))
	id := d.Run(t, "inspect", "-f", "{{.Id}}", image)

	d.Run(t, "push", image)
	d.Run(t, "push", other)
	require.Equal(t, 2, seen.Count(`^POST /v2/docker/other/blobs/uploads/\?.*mount=.* 201$`), "two layers are mounted:\n%s", seen)

	repoDigest := strings.TrimSpace(d.Run(t, "inspect", "-f", "{{index .RepoDigests 0}}", image))
	_, digest, _ := strings.Cut(repoDigest, "@")
	require.Equal(t, digest, digestOf(t, "docker/image", "one"))

	d.Run(t, "rmi", image, other)
	d.Run(t, "pull", image)
	require.Equal(t, id, d.Run(t, "inspect", "-f", "{{.Id}}", image))
	d.Run(t, "rmi", image)
	d.Run(t, "pull", fmt.Sprintf("%s/docker/other@%s", seen.Addr, digest))

	// Docker lists and deletes nothing; a pull of what was deleted fails with a clear word.
	c := harness.NewClient(registry.URL())
	_, err := c.Do(t.Context(), 202, "DELETE", "/v2/docker/image/manifests/"+digest, nil, nil)
	require.NoError(t, err)
	_, stderr, err := d.Try(t, "pull", image)
	require.Error(t, err)
	require.Contains(t, stderr, "manifest unknown")
}

// TestDockerManifestList pulls by platform from an index that another client pushed.
func TestDockerManifestList(t *testing.T) {
	d := docker(t)
	index := harness.Index(t, t.Name())
	want, err := index.Digest()
	require.NoError(t, err)
	r := regctl(t, registry.Addr)
	r.Run(t, "image", "copy", "ocidir://"+harness.Layout(t, index)+":latest", registry.Addr+"/docker/index:all")
	require.Equal(t, want.String(), digestOf(t, "docker/index", "all"))
	for _, arch := range []string{"amd64", "arm64"} {
		d.Run(t, "pull", "--platform", "linux/"+arch, registry.Addr+"/docker/index:all")
		require.Equal(t, arch+"\n", d.Run(t, "inspect", "-f", "{{.Architecture}}", registry.Addr+"/docker/index:all"))
	}
}
