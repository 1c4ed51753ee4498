// Package cloud runs the kits on real storage servers.
package cloud

import (
	"testing"

	"github.com/registrykit/registry/internal/e2e/cloud/kits"
	"github.com/registrykit/registry/internal/e2e/harness"
)

func TestMinIO(t *testing.T) { kits.S3(t, harness.NewMinIO(t)).Run(t) }
