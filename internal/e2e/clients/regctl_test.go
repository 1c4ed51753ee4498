package clients

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// regctl returns a regctl that speaks plain HTTP to a registry; flags are those of "regctl registry
// set".
func regctl(t *testing.T, addr string, flags ...string) *harness.Program {
	t.Helper()
	r := harness.NewProgram(t, "regctl")
	r.Run(t, append([]string{"registry", "set", "--tls", "disabled", addr}, flags...)...)
	return r
}

func TestRegctlImage(t *testing.T) {
	r, ref := regctl(t, registry.Addr), registry.Addr+"/regctl/image"
	img := harness.Image(t, "amd64", t.Name())
	want, err := img.Digest()
	require.NoError(t, err)
	r.Run(t, "image", "copy", "ocidir://"+harness.Layout(t, img)+":latest", ref+":one")
	r.Run(t, "image", "copy", ref+":one", ref+":two")
	require.Equal(t, want.String(), strings.TrimSpace(r.Run(t, "image", "digest", ref+":two")))
	require.Equal(t, []string{"one", "two"}, lines(r.Run(t, "tag", "ls", ref)))
	require.Contains(t, lines(r.Run(t, "repo", "ls", registry.Addr)), "regctl/image")
	r.Run(t, "image", "copy", ref+":one", "ocidir://"+t.TempDir()+":back")

	r.Run(t, "tag", "delete", ref+":one")
	gone(t, "regctl/image", "one")
	require.Equal(t, want.String(), registry.DigestOf(t, "regctl/image", "two"))
	r.Run(t, "manifest", "delete", ref+"@"+want.String())
	gone(t, "regctl/image", "two")
}

func TestRegctlIndex(t *testing.T) {
	r, ref := regctl(t, registry.Addr), registry.Addr+"/regctl/index"
	index := harness.Index(t, t.Name())
	want, err := index.Digest()
	require.NoError(t, err)
	r.Run(t, "image", "copy", "ocidir://"+harness.Layout(t, index)+":latest", ref+":all")
	require.Equal(t, want.String(), registry.DigestOf(t, "regctl/index", "all"))
	r.Run(t, "image", "copy", ref+":all", "ocidir://"+t.TempDir()+":back")
}

func TestRegctlReferrers(t *testing.T) {
	r, ref := regctl(t, registry.Addr), registry.Addr+"/regctl/subject"
	r.Run(t, "image", "copy", "ocidir://"+harness.Layout(t, harness.Image(t, "amd64", t.Name()))+":latest", ref+":latest")
	path := filepath.Join(t.TempDir(), "note")
	require.NoError(t, os.WriteFile(path, []byte("a note"), 0o644))
	r.Run(t, "artifact", "put", "--subject", ref+":latest", "--artifact-type", "application/vnd.example.note", "-f", path)
	require.Contains(t, r.Run(t, "artifact", "list", ref+":latest"), "application/vnd.example.note")
	require.Equal(t, []string{"latest"}, lines(r.Run(t, "tag", "ls", ref)))
	r.Run(t, "image", "copy", "--referrers", ref+":latest", registry.Addr+"/regctl/copy:latest")
	require.Contains(t, r.Run(t, "artifact", "list", registry.Addr+"/regctl/copy:latest"), "application/vnd.example.note")
}

// TestRegctlChunks pushes 20 MB in chunks of 1 MiB.
func TestRegctlChunks(t *testing.T) {
	seen := harness.NewRecorder(t, registry.URL())
	r := regctl(t, seen.Addr, "--blob-chunk", "1048576", "--blob-max", "1")
	img := harness.BigImage(t, t.TempDir(), 3, 20_000_000)
	want, err := img.Digest()
	require.NoError(t, err)
	r.Run(t, "image", "copy", "ocidir://"+harness.Layout(t, img)+":latest", seen.Addr+"/regctl/chunks:latest")
	require.GreaterOrEqual(t, seen.Count(`^PATCH .* 202$`), 20)
	require.Equal(t, want.String(), registry.DigestOf(t, "regctl/chunks", "latest"))
	harness.NewProgram(t, "crane").Run(t, "validate", "--remote", registry.Addr+"/regctl/chunks:latest")
}
