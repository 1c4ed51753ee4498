package full

import (
	"testing"

	"github.com/registrykit/registry/internal/e2e/cloud/kits"
	"github.com/registrykit/registry/internal/e2e/harness"
)

// TestVersityGW runs the kits and the conformance suite on a store that, unlike MinIO, deletes on a condition.
func TestVersityGW(t *testing.T) {
	o := harness.NewVersityGW(t)
	t.Run("kits", func(t *testing.T) { kits.S3(t, o).Run(t) })
	t.Run("conformance", func(t *testing.T) { harness.Conformance(t, harness.Options{Bucket: o}) })
}
