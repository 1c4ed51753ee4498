package harness

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// junit is what the suite reports in junit.xml, the only file that has counts.
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

// Conformance runs the OCI conformance suite against a registry and demands that the suite passes whole. The suite's exit code is not enough: it is 0 with skipped tests, and 0 when
// its configuration was refused and nothing ran.
func Conformance(t *testing.T, o Options) {
	t.Helper()
	o.Args = []string{"-sparse", "-log-level", "error"}
	server := New(t, o)

	suite, err := Tool("conformance")
	require.NoError(t, err)
	results := t.TempDir()
	cmd := exec.Command(suite)
	cmd.Dir = results // the suite reads a configuration file from its folder: there is none in this one
	cmd.Env = append(os.Environ(),
		"OCI_VERSION=dev", "OCI_DATA_SPARSE=true", "OCI_TLS=disabled", "OCI_REGISTRY="+server.Addr,
		"OCI_REPO1=conformance/repo1", "OCI_REPO2=conformance/repo2", "OCI_RESULTS_DIR="+results)
	output, runErr := cmd.CombinedOutput()

	b, err := os.ReadFile(filepath.Join(results, "junit.xml"))
	require.NoError(t, err, "%s", output)
	var r junit
	require.NoError(t, xml.Unmarshal(b, &r))
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
