package full

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// TestOras attaches to an image and to what is attached, finds the graph, and moves it: to another
// repository, and by way of an archive.
func TestOras(t *testing.T) {
	o, ref := harness.NewProgram(t, "oras"), registry.Addr+"/oras/graph"
	t.Chdir(t.TempDir())
	digest := push(t, ref+":latest")
	attach := func(to, kind string) string {
		write(t, ".", kind, kind)
		var out struct{ Digest string }
		require.NoError(t, json.Unmarshal([]byte(o.Run(t, "attach", "--plain-http", "--format", "json",
			"--artifact-type", "application/vnd.example."+kind, ref+"@"+to, kind)), &out))
		return out.Digest
	}
	parts := attach(digest, "parts")
	attach(digest, "signature")
	attach(parts, "signature")

	discover := func(ref string, args ...string) string {
		return o.Run(t, append([]string{"discover", "--plain-http", "--format", "tree", ref}, args...)...)
	}
	tree := discover(ref + ":latest")
	require.Equal(t, 2, count(tree, "application/vnd.example.signature"), tree)
	require.Equal(t, 1, count(tree, "application/vnd.example.parts"), tree)
	require.NotContains(t, discover(ref+":latest", "--artifact-type", "application/vnd.example.signature"),
		"example.parts")
	require.ElementsMatch(t, []string{"application/vnd.example.parts", "application/vnd.example.signature"},
		referrersOf(t, "oras/graph", digest))

	o.Run(t, "cp", "--recursive", "--from-plain-http", "--to-plain-http", ref+":latest",
		registry.Addr+"/oras/copied:latest")
	require.Len(t, referrersOf(t, "oras/copied", digest), 2)
	require.Len(t, referrersOf(t, "oras/copied", parts), 1)

	archive := filepath.Join(t.TempDir(), "backup.tar")
	o.Run(t, "backup", "--plain-http", "--include-referrers", "--output", archive, ref+":latest")
	o.Run(t, "restore", "--plain-http", "--input", archive, registry.Addr+"/oras/restored:latest")
	require.Len(t, referrersOf(t, "oras/restored", digest), 2)
	require.Len(t, referrersOf(t, "oras/restored", parts), 1)
	require.Equal(t, []string{"latest"}, registry.TagsOf(t, "oras/graph"))

	o.Run(t, "manifest", "delete", "--plain-http", "--force", ref+"@"+parts)
	require.Equal(t, []string{"application/vnd.example.signature"}, referrersOf(t, "oras/graph", digest))
}

// TestOrasIndex makes an index of two images by hand.
func TestOrasIndex(t *testing.T) {
	o, ref := harness.NewProgram(t, "oras"), registry.Addr+"/oras/index"
	one, two := push(t, ref+":one"), push(t, ref+":two")
	o.Run(t, "manifest", "index", "create", "--plain-http", ref+":both", "one", "two")
	index := indexOf(t, "oras/index", "both")
	require.Len(t, index.Manifests, 2)
	o.Run(t, "manifest", "index", "update", "--plain-http", ref+":both", "--remove", two)
	index = indexOf(t, "oras/index", "both")
	require.Len(t, index.Manifests, 1)
	require.Equal(t, one, index.Manifests[0].Digest.String())
}
