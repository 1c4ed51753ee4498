// Package conformance runs the OCI conformance suite against examples/server and examples/cloud.
package conformance

import (
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
)

func TestDisk(t *testing.T)   { harness.Conformance(t, harness.Options{Storage: t.TempDir()}) }
func TestMemory(t *testing.T) { harness.Conformance(t, harness.Options{Storage: "mem://"}) }
func TestS3(t *testing.T)     { harness.Conformance(t, harness.Options{Bucket: harness.NewMinIO(t)}) }

func TestGCS(t *testing.T) {
	g := harness.NewFakeGCS(t)
	g.Create(t, "conformance")
	harness.Conformance(t, harness.Options{Storage: g.URL("conformance"), Env: g.Env()})
}

func TestAzure(t *testing.T) {
	a := harness.NewAzurite(t)
	a.Create(t, "conformance")
	harness.Conformance(t, harness.Options{Storage: a.URL("conformance", ""), Env: a.Env()})
}
