package harness

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// junit is the content of junit.xml, the only report of the suite that contains counts.
type junit struct {
	Tests    int `xml:"tests,attr"`
	Errors   int `xml:"errors,attr"`
	Failures int `xml:"failures,attr"`
	Skipped  int `xml:"skipped,attr"`
	Disabled int `xml:"disabled,attr"`
	Suites   []struct {
		Cases []struct {
			Name   string `xml:"name,attr"`
			Status string `xml:"status,attr"`
			Why    string `xml:"system-out"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

// Conformance runs the OCI conformance suites against a registry: the current suite and that of the
// 1.x releases. It requires every test of both to pass.
func Conformance(t *testing.T, o Options) {
	t.Helper()
	o.Args = append(o.Args, "-sparse", "-log-level", "error")
	server := New(t, o)
	t.Run("current", func(t *testing.T) { conformance(t, server) })
	t.Run("1.x", func(t *testing.T) { conformance1(t, server) })
}

// conformance runs the current suite. It does not rely on the exit code of the suite. That is 0
// even if tests are skipped, and even if the suite rejects its configuration and runs nothing.
func conformance(t *testing.T, server *Server) {
	suite, err := Tool("conformance")
	require.NoError(t, err)
	results := t.TempDir()
	cmd := exec.Command(suite)
	cmd.Dir = results // the suite would read a configuration file from its folder; this folder has none
	cmd.Env = append(os.Environ(),
		"OCI_VERSION=dev", "OCI_DATA_SPARSE=true", "OCI_TLS=disabled", "OCI_REGISTRY="+server.Addr,
		"OCI_REPO1=conformance/repo1", "OCI_REPO2=conformance/repo2", "OCI_RESULTS_DIR="+results)
	output, runErr := cmd.CombinedOutput()

	r := readJUnit(t, results, output)
	for _, suite := range r.Suites {
		for _, c := range suite.Cases {
			if c.Status != "passed" {
				t.Errorf("%s: %s: %s", c.Status, c.Name, c.Why)
			}
		}
	}
	passed := r.Tests - r.Errors - r.Failures - r.Skipped - r.Disabled
	t.Logf("conformance: %d passed, %d failed, %d errors, %d skipped, %d disabled",
		passed, r.Failures, r.Errors, r.Skipped, r.Disabled)
	require.Zero(t, r.Failures+r.Errors+r.Skipped+r.Disabled)
	require.NoError(t, runErr, "%s", output)
	require.Greater(t, passed, 1000, "the suite has lost tests")
}

// alternatives are the tests of the 1.x suite that are skipped if their alternatives run. They are
// for registries that accept no pushes, that do not mount, or that mount only from a named source.
var alternatives = []string{
	"Pull Setup Get tag name from environment",
	"Content Discovery Setup Populate registry with test tags (no push)",
	"Push Cross-Repository Blob Mount Cross-mounting of nonexistent blob should yield session id",
	"Push Cross-Repository Blob Mount Cross-mounting without from, and automatic content discovery disabled " +
		"should return a 202",
}

// conformance1 runs the suite of the 1.x releases, which has tests that the current one lacks.
func conformance1(t *testing.T, server *Server) {
	suite, err := Tool("conformance1")
	require.NoError(t, err)
	results := t.TempDir()
	cmd := exec.Command(suite)
	cmd.Dir = results
	cmd.Env = append(os.Environ(),
		"OCI_ROOT_URL=http://"+server.Addr, "OCI_REPORT_DIR="+results,
		"OCI_NAMESPACE=conformance1/repo1", "OCI_CROSSMOUNT_NAMESPACE=conformance1/repo2", "OCI_AUTOMATIC_CROSSMOUNT=1",
		"OCI_TEST_PULL=1", "OCI_TEST_PUSH=1", "OCI_TEST_CONTENT_DISCOVERY=1", "OCI_TEST_CONTENT_MANAGEMENT=1")
	output, runErr := cmd.CombinedOutput()

	r := readJUnit(t, results, output)
	passed, skipped := 0, []string{}
	for _, suite := range r.Suites {
		for _, c := range suite.Cases {
			switch c.Status {
			case "passed":
				passed++
			case "skipped":
				skipped = append(skipped, strings.TrimPrefix(c.Name, "[It] OCI Distribution Conformance Tests "))
			default:
				t.Errorf("%s: %s", c.Status, c.Name)
			}
		}
	}
	t.Logf("conformance of the 1.x releases: %d passed, %d skipped", passed, len(skipped))
	require.NoError(t, runErr, "%s", output)
	require.ElementsMatch(t, alternatives, skipped)
	require.GreaterOrEqual(t, passed, 75, "the suite has lost tests")
}

// readJUnit returns the content of the only junit.xml below results.
func readJUnit(t *testing.T, results string, output []byte) junit {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(results, "junit.xml"))
	require.NoError(t, err, "%s", output)
	var r junit
	require.NoError(t, xml.Unmarshal(b, &r))
	return r
}
