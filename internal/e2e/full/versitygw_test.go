package full

import (
	"testing"

	"github.com/registrykit/registry/internal/e2e/cloud/kits"
	"github.com/registrykit/registry/internal/e2e/harness"
)

// TestVersityGW runs the kits and the conformance suite on another store that speaks S3, over a
// file system.
func TestVersityGW(t *testing.T) {
	o := harness.NewVersityGW(t)
	t.Run("kits", func(t *testing.T) { kits.S3(t, o).Run(t) })
	t.Run("lost", func(t *testing.T) { kits.LostBackend(t, o) })
	t.Run("conformance", func(t *testing.T) { harness.Conformance(t, harness.Options{Bucket: o}) })
}
