package full

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// TestPodmanChunked pushes layers of zstd:chunked, which clients may read by ranges, and pulls
// them.
func TestPodmanChunked(t *testing.T) {
	for _, format := range []string{"zstd", "zstd:chunked"} {
		t.Run(format, func(t *testing.T) {
			p, ref := harness.Podman(t), registry.Addr+"/podman/chunked:latest"
			p.Run(t, "build", "-q", "--isolation", "chroot", "-t", ref, harness.BuildContext(t, t.Name(), ""))
			id := p.Run(t, "inspect", "-f", "{{.Id}}", ref)
			p.Run(t, "push", "--tls-verify=false", "--format", "oci", "--compression-format", format, ref)

			layers := manifestOf(t, "podman/chunked", "latest").Layers
			require.NotEmpty(t, layers)
			for _, layer := range layers {
				require.Equal(t, "application/vnd.oci.image.layer.v1.tar+zstd", layer.MediaType)
				if format == "zstd:chunked" {
					// Its prefix is "io.containers" in old versions and "io.github.containers" in
					// new ones.
					require.Contains(t, strings.Join(slices.Collect(maps.Keys(layer.Annotations)), " "),
						"containers.zstd-chunked.manifest-checksum")
				}
			}
			p.Run(t, "rmi", ref)
			p.Run(t, "pull", "--tls-verify=false", ref)
			require.Equal(t, id, p.Run(t, "inspect", "-f", "{{.Id}}", ref))
			harness.NewProgram(t, "skopeo").Run(t, "copy", "--src-tls-verify=false", "docker://"+ref,
				"oci:"+t.TempDir()+":latest")
		})
	}
}
