package clients

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

func TestPodman(t *testing.T) {
	p, ref := harness.Podman(t), registry.Addr+"/podman/image:one"
	p.Run(t, "build", "-q", "--isolation", "chroot", "-t", ref, harness.BuildContext(t, t.Name(), ""))
	id := p.Run(t, "inspect", "-f", "{{.Id}}", ref)
	digest := filepath.Join(t.TempDir(), "digest")
	p.Run(t, "push", "--tls-verify=false", "--digestfile", digest, ref)
	require.Equal(t, read(t, digest), registry.DigestOf(t, "podman/image", "one"))

	p.Run(t, "rmi", ref)
	p.Run(t, "pull", "--tls-verify=false", ref)
	require.Equal(t, id, p.Run(t, "inspect", "-f", "{{.Id}}", ref))
	require.Contains(t, p.Run(t, "search", "--tls-verify=false", "--list-tags", registry.Addr+"/podman/image"), "one")
}

// TestPodmanManifest pushes an index of two platforms and pulls one of them.
func TestPodmanManifest(t *testing.T) {
	p, ref := harness.Podman(t), registry.Addr+"/podman/index:all"
	p.Run(t, "manifest", "create", "both")
	for _, arch := range []string{"amd64", "arm64"} {
		p.Run(t, "build", "-q", "--isolation", "chroot", "--arch", arch, "--manifest", "both",
			harness.BuildContext(t, t.Name()+arch, ""))
	}
	p.Run(t, "manifest", "push", "--all", "--tls-verify=false", "both", "docker://"+ref)
	p.Run(t, "manifest", "rm", "both")
	p.Run(t, "rmi", "--all", "--force")
	p.Run(t, "pull", "--tls-verify=false", "--arch", "arm64", ref)
	require.Equal(t, "arm64", strings.TrimSpace(p.Run(t, "inspect", "-f", "{{.Architecture}}", ref)))
}

// TestPodmanPartialPull checks that a podman with one version of an image fetches only the new
// files of the next version. It sends one request for many ranges and must get only these ranges.
func TestPodmanPartialPull(t *testing.T) {
	const files, size = 400, 10_000
	p, seen := harness.PodmanPartial(t), harness.NewRecorder(t, registry.URL())
	dir, random := t.TempDir(), rand.NewChaCha8([32]byte{})
	content := make([]byte, size)
	write := func(step int) {
		for i := 0; i < files; i += step {
			_, _ = random.Read(content)
			require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("file%d", i)), content, 0o644))
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY . /\n"), 0o644))
	ref := seen.Addr + "/podman/partial:"
	for i, tag := range []string{"one", "two"} {
		write(i + 1) // the second time every other file
		p.Run(t, "build", "-q", "--isolation", "chroot", "-t", ref+tag, dir)
		p.Run(t, "push", "--tls-verify=false", "--compression-format", "zstd:chunked", ref+tag)
	}
	p.Run(t, "rmi", "--all", "--force")

	p.Run(t, "pull", "--tls-verify=false", ref+"one")
	whole := seen.Sent("^GET .*/blobs/")
	require.Greater(t, whole, int64(files*size))
	p.Run(t, "pull", "--tls-verify=false", ref+"two")
	missing := seen.Sent("^GET .*/blobs/") - whole
	require.Greater(t, missing, int64(files/2*size))
	// Besides the files: the list of all files, the config, and the head of each part.
	require.Less(t, missing, int64(files/2*size*5/4), "%s", seen)

	mounted := strings.TrimSpace(p.Run(t, "image", "mount", ref+"two"))
	for i := range files {
		want, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("file%d", i)))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(mounted, fmt.Sprintf("file%d", i)))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	p.Run(t, "image", "umount", ref+"two")
}
