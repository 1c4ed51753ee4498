package clients

import (
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
		p.Run(t, "build", "-q", "--isolation", "chroot", "--arch", arch, "--manifest", "both", harness.BuildContext(t, t.Name()+arch, ""))
	}
	p.Run(t, "manifest", "push", "--all", "--tls-verify=false", "both", "docker://"+ref)
	p.Run(t, "manifest", "rm", "both")
	p.Run(t, "rmi", "--all", "--force")
	p.Run(t, "pull", "--tls-verify=false", "--arch", "arm64", ref)
	require.Equal(t, "arm64", strings.TrimSpace(p.Run(t, "inspect", "-f", "{{.Architecture}}", ref)))
}
