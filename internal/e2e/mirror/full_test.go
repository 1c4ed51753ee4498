package mirror

import (
	"path/filepath"
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// TestBuildkit builds on top of a base that buildkitd pulls through the mirror. In the long form only.
func TestBuildkit(t *testing.T) {
	if !*full {
		t.Skip("buildkit is not installed in CI")
	}
	noInternet(t)
	for _, kind := range upstreamKinds() {
		for _, path := range []string{"", "/docker.io"} {
			t.Run(string(kind)+path, func(t *testing.T) {
				pullStory(t, newPlace(t, kind), func(t *testing.T, p *place) *puller { return buildkit(t, p, path) })
			})
		}
	}
}

// buildkit starts a buildkitd. path is that of the mirror in its configuration.
func buildkit(t *testing.T, p *place, path string) *puller {
	dir := harness.ShortDir(t)
	config := write(t, dir, "buildkitd.toml", `
[registry."docker.io"]
mirrors = ["`+p.mirror.Addr+path+`"]
[registry."`+p.mirror.Addr+`"]
http = true
`)
	addr := "unix://" + dir + "/s.sock"
	b := harness.NewProgram(t, "buildctl", "--addr", addr)
	harness.Daemon(t, func() error { _, _, err := b.Try(t, "debug", "workers"); return err }, "buildkitd",
		"--addr", addr, "--root", filepath.Join(dir, "root"), "--config", config, "--oci-worker=true",
		"--containerd-worker=false", "--oci-worker-snapshotter=native", "--oci-worker-net=host",
		"--oci-cni-binary-dir", dir, "--oci-worker-gc=false")
	return &puller{
		ref: func(repo, end string) string { return "docker.io/" + repo + end },
		pull: func(t *testing.T, ref string) {
			context := t.TempDir()
			write(t, context, "Dockerfile", "FROM "+ref+"\nCOPY Dockerfile /\n")
			_, stderr, err := b.Try(t, "build", "--progress=plain", "--frontend=dockerfile.v0", "--local", "context="+context,
				"--local", "dockerfile="+context, "--output", "type=oci,dest="+filepath.Join(t.TempDir(), "image.tar"))
			require.NoError(t, err, "%s", stderr)
		},
		forget: func(t *testing.T, _ string) { b.Run(t, "prune", "--all") },
	}
}
