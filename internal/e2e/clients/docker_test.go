package clients

import (
	"fmt"
	"strings"
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

func TestDocker(t *testing.T) {
	d, seen := harness.Docker(t), harness.NewRecorder(t, registry.URL())
	image, other := seen.Addr+"/docker/image:one", seen.Addr+"/docker/other:one"
	d.Run(t, "build", "-q", "-t", image, "-t", other, harness.BuildContext(t, t.Name(), ""))
	id := d.Run(t, "inspect", "-f", "{{.Id}}", image)

	d.Run(t, "push", image)
	d.Run(t, "push", other)
	require.Equal(t, 2, seen.Count(`^POST /v2/docker/other/blobs/uploads/\?.*mount=.* 201$`),
		"two layers are mounted:\n%s", seen)

	repoDigest := strings.TrimSpace(d.Run(t, "inspect", "-f", "{{index .RepoDigests 0}}", image))
	_, digest, _ := strings.Cut(repoDigest, "@")
	require.Equal(t, digest, registry.DigestOf(t, "docker/image", "one"))

	d.Run(t, "rmi", image, other)
	d.Run(t, "pull", image)
	require.Equal(t, id, d.Run(t, "inspect", "-f", "{{.Id}}", image))
	d.Run(t, "rmi", image)
	d.Run(t, "pull", fmt.Sprintf("%s/docker/other@%s", seen.Addr, digest))

	// Docker cannot list or delete. A pull of a deleted image fails with a clear message.
	c := harness.NewClient(registry.URL())
	_, err := c.Do(t.Context(), 202, "DELETE", "/v2/docker/image/manifests/"+digest, nil, nil)
	require.NoError(t, err)
	_, stderr, err := d.Try(t, "pull", image)
	require.Error(t, err)
	require.Contains(t, stderr, "manifest unknown")
}

// TestDockerManifestList pulls by platform from an index that another client pushed.
func TestDockerManifestList(t *testing.T) {
	d := harness.Docker(t)
	index := harness.Index(t, t.Name())
	want, err := index.Digest()
	require.NoError(t, err)
	r := regctl(t, registry.Addr)
	r.Run(t, "image", "copy", "ocidir://"+harness.Layout(t, index)+":latest", registry.Addr+"/docker/index:all")
	require.Equal(t, want.String(), registry.DigestOf(t, "docker/index", "all"))
	for _, arch := range []string{"amd64", "arm64"} {
		d.Run(t, "pull", "--platform", "linux/"+arch, registry.Addr+"/docker/index:all")
		require.Equal(t, arch+"\n", d.Run(t, "inspect", "-f", "{{.Architecture}}", registry.Addr+"/docker/index:all"))
	}
}
