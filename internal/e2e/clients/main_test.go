// Package clients pushes to and pulls from examples/server with common client programs.
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

// gone requires that a tag or digest does not exist.
func gone(t *testing.T, repo, ref string) {
	t.Helper()
	_, err := harness.NewClient(registry.URL()).Do(t.Context(), 404, "HEAD", "/v2/"+repo+"/manifests/"+ref,
		harness.Accept(), nil)
	require.NoError(t, err)
}

// blobStatus returns the status of a HEAD request for a blob.
func blobStatus(t *testing.T, repo, digest string) int {
	t.Helper()
	r, _ := harness.NewClient(registry.URL()).Do(t.Context(), 200, "HEAD", "/v2/"+repo+"/blobs/"+digest, nil, nil)
	require.NotNil(t, r)
	return r.Status
}

// lines splits the output of a program.
func lines(s string) []string { return strings.Fields(s) }

// read returns the content of a file that a program wrote.
func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return strings.TrimSpace(string(b))
}
