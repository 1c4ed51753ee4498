// Package clients pushes to and pulls from examples/server with the programs that people use.
package clients

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// registry runs for all tests of this package, on disk. Each test has repositories of its own.
var registry *harness.Server

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "registry-clients-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	registry, err = harness.Start(harness.Options{Storage: dir + "/data", Log: dir + "/log"})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := registry.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if code != 0 {
		fmt.Fprintf(os.Stderr, "registry:\n%s", registry.Tail())
	}
	return code
}

// digestOf asks the registry itself which digest a tag has.
func digestOf(t *testing.T, repo, ref string) string {
	t.Helper()
	r, err := harness.NewClient(registry.URL()).Do(t.Context(), 200, "HEAD", "/v2/"+repo+"/manifests/"+ref, harness.Accept(), nil)
	require.NoError(t, err)
	return r.Header.Get("Docker-Content-Digest")
}

// gone demands that a tag or digest is not there.
func gone(t *testing.T, repo, ref string) {
	t.Helper()
	_, err := harness.NewClient(registry.URL()).Do(t.Context(), 404, "HEAD", "/v2/"+repo+"/manifests/"+ref, harness.Accept(), nil)
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
