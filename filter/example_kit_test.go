package filter_test

import (
	"testing"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/registrytest"
)

// TestReleases shows how the author of a Backend tests it: the kit runs on the filter around a
// store in memory, and Options states what the Backend does not support.
func TestReleases(t *testing.T) {
	registrytest.TestBackend(t, func(t *testing.T) registry.Backend {
		return releases{registrytest.NewStore(t)}
	}, &registrytest.Options{LargeSize: 1 << 20, Appends: 100})
}
