package full

import (
	"path/filepath"
	"strings"
	"testing"

	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// buildkit starts a buildkitd below a temporary folder and returns its client.
func buildkit(t *testing.T) *harness.Program {
	t.Helper()
	dir := harness.ShortDir(t)
	config := write(t, dir, "buildkitd.toml", "[registry.\""+registry.Addr+"\"]\nhttp = true\n")
	addr := "unix://" + dir + "/s.sock"
	b := harness.NewProgram(t, "buildctl", "--addr", addr)
	harness.Daemon(t, func() error { _, _, err := b.Try(t, "debug", "workers"); return err }, "buildkitd",
		"--addr", addr, "--root", filepath.Join(dir, "root"), "--config", config, "--oci-worker=true",
		"--containerd-worker=false", "--oci-worker-snapshotter=native", "--oci-worker-net=host",
		"--oci-cni-binary-dir", dir, "--oci-worker-gc=false")
	return b
}

// build builds a context with the Dockerfile frontend, which is part of buildkitd, and returns the
// progress.
func build(t *testing.T, b *harness.Program, context string, args ...string) string {
	t.Helper()
	all := append([]string{
		"build", "--progress=plain", "--frontend=dockerfile.v0", "--local", "context=" + context, "--local",
		"dockerfile=" + context,
	}, args...)
	stdout, stderr, err := b.Try(t, all...)
	require.NoError(t, err, "buildctl %q\n%s%s", all, stdout, stderr)
	return stderr
}

func output(ref string, more string) string { return "type=image,push=true,name=" + ref + more }

// TestBuildkitCache exports the cache of a build to the registry, forgets it, and builds again from
// what it imports. It does so with the cache as an image manifest, and as an index that is not one of
// images, which is how older versions write it.
func TestBuildkitCache(t *testing.T) {
	for kind, mediaType := range map[string]string{"true": imagespec.MediaTypeImageManifest,
		"false": imagespec.MediaTypeImageIndex} {
		t.Run("image-manifest="+kind, func(t *testing.T) {
			b, context := buildkit(t), harness.BuildContext(t, t.Name(), "RUN [\"/bin/busybox\", \"touch\", \"/ran\"]\n")
			repo := "buildkit/cache-" + kind
			ref := registry.Addr + "/" + repo
			export := "type=registry,mode=max,oci-mediatypes=true,image-manifest=" + kind + ",ref=" + ref + ":cache"
			first := build(t, b, context, "--output", output(ref+":one", ""), "--export-cache", export)
			require.NotContains(t, first, "CACHED")
			require.Contains(t, string(registry.ManifestOf(t, repo, "cache")), `"mediaType":"`+mediaType+`"`)

			fresh := buildkit(t)
			second := build(t, fresh, context, "--output", output(ref+":two", ""), "--import-cache",
				"type=registry,ref="+ref+":cache")
			require.Equal(t, 3, strings.Count(second, "CACHED"), "two COPY and a RUN:\n%s", second)
			require.Equal(t, manifestOf(t, repo, "one").Layers, manifestOf(t, repo, "two").Layers)
			harness.NewProgram(t, "crane").Run(t, "validate", "--remote", ref+":two")
		})
	}
}

// TestBuildkitInline keeps the cache in the image itself.
func TestBuildkitInline(t *testing.T) {
	b, context, ref := buildkit(t), harness.BuildContext(t, t.Name(), ""), registry.Addr+"/buildkit/inline:latest"
	build(t, b, context, "--output", output(ref, ""), "--export-cache", "type=inline")
	again := build(t, buildkit(t), context, "--output", output(ref+"-again", ""), "--import-cache",
		"type=registry,ref="+ref)
	require.Contains(t, again, "CACHED")
}

func TestBuildkitZstd(t *testing.T) {
	b, context, ref := buildkit(t), harness.BuildContext(t, t.Name(), ""), registry.Addr+"/buildkit/zstd:latest"
	build(t, b, context, "--output", output(ref, ",compression=zstd,force-compression=true,oci-mediatypes=true"))
	for _, layer := range manifestOf(t, "buildkit/zstd", "latest").Layers {
		require.Equal(t, imagespec.MediaTypeImageLayerZstd, layer.MediaType)
	}
	p := harness.Podman(t)
	p.Run(t, "pull", "--tls-verify=false", ref)
	require.Contains(t, p.Run(t, "inspect", "-f", "{{.Config.Cmd}}", ref), "busybox")
	// A base that is pulled by buildkit itself.
	onTop := t.TempDir()
	write(t, onTop, "Dockerfile", "FROM "+ref+"\nRUN [\"/bin/busybox\", \"cat\", \"/unique\"]\n")
	require.Contains(t, build(t, b, onTop, "--output", output(ref+"-top", "")), t.Name())
}

// TestBuildkitIndex pushes what "docker buildx build --platform --provenance" pushes: an index of
// images and of attestations.
func TestBuildkitIndex(t *testing.T) {
	b, context, repo := buildkit(t), harness.BuildContext(t, t.Name(), ""), "buildkit/index"
	ref := registry.Addr + "/" + repo + ":all"
	build(t, b, context, "--opt", "platform=linux/amd64,linux/arm64", "--opt", "attest:provenance=mode=max", "--output",
		output(ref, ""))

	images, attestations := map[string]string{}, 0
	for _, m := range indexOf(t, repo, "all").Manifests {
		if m.Annotations["vnd.docker.reference.type"] == "attestation-manifest" {
			attestations++
			require.Contains(t, images, m.Annotations["vnd.docker.reference.digest"])
			require.Equal(t, "application/vnd.in-toto+json", manifestOf(t, repo, m.Digest.String()).Layers[0].MediaType)
			continue
		}
		images[m.Digest.String()] = m.Platform.Architecture
	}
	require.Len(t, images, 2)
	require.Equal(t, 2, attestations)

	p := harness.Podman(t)
	for _, arch := range images {
		p.Run(t, "pull", "--tls-verify=false", "--arch", arch, ref)
		require.Equal(t, arch, strings.TrimSpace(p.Run(t, "inspect", "-f", "{{.Architecture}}", ref)))
	}
	harness.NewProgram(t, "crane").Run(t, "copy", ref, registry.Addr+"/"+repo+"-copy:all")
	require.Equal(t, registry.DigestOf(t, repo, "all"), registry.DigestOf(t, repo+"-copy", "all"))
}
