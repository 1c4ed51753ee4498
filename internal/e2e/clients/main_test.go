// Package clients pushes to and pulls from examples/server with the programs that people use.
package clients

import (
	"os"
	"strings"
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// registry runs for all tests of this package, on disk. Each test has repositories of its own.
var registry *harness.Server

func TestMain(m *testing.M) { os.Exit(harness.Suite(m, &registry)) }

// gone demands that a tag or digest is not there.
func gone(t *testing.T, repo, ref string) {
	t.Helper()
	_, err := harness.NewClient(registry.URL()).Do(t.Context(), 404, "HEAD", "/v2/"+repo+"/manifests/"+ref,
		harness.Accept(), nil)
	require.NoError(t, err)
}

// blobStatus says how the registry answers a HEAD for a blob.
func blobStatus(t *testing.T, repo, digest string) int {
	t.Helper()
	r, _ := harness.NewClient(registry.URL()).Do(t.Context(), 200, "HEAD", "/v2/"+repo+"/blobs/"+digest, nil, nil)
	require.NotNil(t, r)
	return r.Status
}

// lines splits what a program printed.
func lines(s string) []string { return strings.Fields(s) }

// read returns what a program wrote into a file.
func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return strings.TrimSpace(string(b))
}
