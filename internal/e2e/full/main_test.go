// Package full pushes to and pulls from examples/server with the clients that take long to build
// (`install.sh full`), and through nginx with TLS. `make e2e-full` runs it; CI does without.
package full

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// registry runs for all tests of this package, on disk. Each test has repositories of its own.
var registry *harness.Server

func TestMain(m *testing.M) { os.Exit(harness.Suite(m, &registry)) }

// write makes a file and returns its path.
func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	return path
}

// manifestOf asks the registry itself for an image manifest.
func manifestOf(t *testing.T, repo, ref string) imagespec.Manifest {
	t.Helper()
	var m imagespec.Manifest
	require.NoError(t, json.Unmarshal(registry.ManifestOf(t, repo, ref), &m))
	return m
}

// indexOf asks the registry itself for an index.
func indexOf(t *testing.T, repo, ref string) imagespec.Index {
	t.Helper()
	var index imagespec.Index
	require.NoError(t, json.Unmarshal(registry.ManifestOf(t, repo, ref), &index))
	return index
}

// push pushes an image of harness and returns its digest.
func push(t *testing.T, ref string) string {
	t.Helper()
	img := harness.Image(t, "amd64", ref)
	harness.NewProgram(t, "crane").Run(t, "push", harness.Layout(t, img), ref)
	d, err := img.Digest()
	require.NoError(t, err)
	return d.String()
}

// referrers asks the registry itself for what refers to a manifest.
func referrers(t *testing.T, repo, digest string) imagespec.Index {
	t.Helper()
	r, err := harness.NewClient(registry.URL()).Do(t.Context(), 200, "GET", "/v2/"+repo+"/referrers/"+digest, nil, nil)
	require.NoError(t, err)
	var index imagespec.Index
	require.NoError(t, json.Unmarshal(r.Body, &index))
	return index
}

func count(s, part string) int { return strings.Count(s, part) }
