package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// TestRequests fails if an operation sends more requests to the store than its limit.
func TestRequests(t *testing.T) {
	results, err := measure(t.Context(), harness.Ours, filepath.Join(t.TempDir(), "store"), 0)
	require.NoError(t, err)
	for i, op := range operations() {
		t.Logf("%3d of %3d: %s", results[i].requests, op.limit, op.name)
		if results[i].requests > op.limit {
			t.Errorf("%s: %d requests, more than %d", op.name, results[i].requests, op.limit)
			for _, r := range results[i].all {
				t.Logf("    %s %s: %d", r.Method, r.URL, r.Status)
			}
		}
		require.Zero(t, results[i].copies, op.name)
	}
}
