// Package server tests the process examples/server with programs that are not tests, such as curl:
// web pages, certificates, plain HTTP, signals.
package server

import (
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// start starts the process with flags.
func start(t *testing.T, args ...string) *harness.Server {
	t.Helper()
	return harness.New(t, harness.Options{Kind: harness.Ours, Storage: "mem://", Args: args})
}
