package clients

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// file writes a file and returns its path relative to the folder, as oras wants it.
func file(t *testing.T, dir, name, content string) string {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	return name
}

func TestOrasArtifact(t *testing.T) {
	o, ref, dir := harness.NewProgram(t, "oras"), registry.Addr+"/oras/artifact", t.TempDir()
	t.Chdir(dir)
	o.Run(t, "push", "--plain-http", "--artifact-type", "application/vnd.example.thing", ref+":v1,v2",
		file(t, dir, "hello.txt", "hello")+":text/plain")
	require.Equal(t, []string{"v1", "v2"}, lines(o.Run(t, "repo", "tags", "--plain-http", ref)))
	require.Contains(t, lines(o.Run(t, "repo", "ls", "--plain-http", registry.Addr)), "oras/artifact")

	out := t.TempDir()
	o.Run(t, "pull", "--plain-http", "-o", out, ref+":v2")
	b, err := os.ReadFile(filepath.Join(out, "hello.txt"))
	require.NoError(t, err)
	require.Equal(t, "hello", string(b))

	o.Run(t, "manifest", "delete", "--plain-http", "--force", ref+"@"+registry.DigestOf(t, "oras/artifact", "v1"))
	gone(t, "oras/artifact", "v1")
	gone(t, "oras/artifact", "v2")
}

// TestOrasReferrers attaches signatures and a list of parts to an image, finds them, and copies the
// whole graph.
func TestOrasReferrers(t *testing.T) {
	o, ref, dir := harness.NewProgram(t, "oras"), registry.Addr+"/oras/subject", t.TempDir()
	t.Chdir(dir)
	harness.NewProgram(t, "crane").Run(t, "push", harness.Layout(t, harness.Image(t, "amd64", t.Name())), ref+":latest")

	for _, kind := range []string{"signature", "parts"} {
		o.Run(t, "attach", "--plain-http", "--artifact-type", "application/vnd.example."+kind,
			"--annotation", "kind="+kind, ref+":latest", file(t, dir, kind, kind))
	}
	discover := func(ref string, args ...string) []string {
		var found struct {
			Referrers []struct {
				ArtifactType string
				Annotations  map[string]string
			}
		}
		out := o.Run(t, append([]string{"discover", "--plain-http", "--format", "json", ref}, args...)...)
		require.NoError(t, json.Unmarshal([]byte(out), &found))
		var kinds []string
		for _, r := range found.Referrers {
			require.Equal(t, "application/vnd.example."+r.Annotations["kind"], r.ArtifactType)
			kinds = append(kinds, r.Annotations["kind"])
		}
		return kinds
	}
	require.ElementsMatch(t, []string{"signature", "parts"}, discover(ref+":latest"))
	require.Equal(t, []string{"parts"}, discover(ref+":latest", "--artifact-type", "application/vnd.example.parts"))

	// oras keeps a tag for referrers if the registry has no referrers API. There must be no such tag.
	require.Equal(t, []string{"latest"}, lines(o.Run(t, "repo", "tags", "--plain-http", ref)))

	o.Run(t, "cp", "--recursive", "--from-plain-http", "--to-plain-http", ref+":latest", registry.Addr+"/oras/copy:latest")
	require.ElementsMatch(t, []string{"signature", "parts"}, discover(registry.Addr+"/oras/copy:latest"))
}

func TestOrasBlob(t *testing.T) {
	o, ref, dir := harness.NewProgram(t, "oras"), registry.Addr+"/oras/blob", t.TempDir()
	t.Chdir(dir)
	o.Run(t, "blob", "push", "--plain-http", ref, file(t, dir, "blob", t.Name()))
	d, err := harness.Digest(mustOpen(t, "blob"))
	require.NoError(t, err)
	require.Equal(t, t.Name(), o.Run(t, "blob", "fetch", "--plain-http", "--output", "-", ref+"@"+d.String()))
	o.Run(t, "blob", "delete", "--plain-http", "--force", ref+"@"+d.String())
	require.Equal(t, 404, blobStatus(t, "oras/blob", d.String()))
}

func mustOpen(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Open(name)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}
