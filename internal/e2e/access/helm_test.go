//go:build full

package access

import (
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// slow are the clients that only `make e2e-full` installs.
var slow = map[string]func(t *testing.T, addr string) *client{"helm": harness.HelmLogin}
