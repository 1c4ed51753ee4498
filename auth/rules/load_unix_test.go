//go:build unix

package rules_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/rules"
)

// TestLoadFifo: Load refuses a path that is not a regular file, and does not wait for it.
func TestLoadFifo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.fifo")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	_, err := rules.Load(path, nil)
	require.EqualError(t, err, "rules: "+path+": not a regular file")
}
