// Package sizes measures how much a registry adds to the program that embeds it.
package sizes

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSizes builds the smallest program of each kind and fails if it has grown. It counts bytes
// without symbols, packages outside the standard library, and modules.
func TestSizes(t *testing.T) {
	for _, c := range []struct {
		host              string
		bytes             int64
		packages, modules int
	}{
		{"disk", 8_100_000, 26, 6},
		{"fileblob", 15_650_000, 192, 25},
		{"s3", 25_350_000, 292, 45},
	} {
		t.Run(c.host, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), c.host)
			run(t, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "./"+c.host)
			fi, err := os.Stat(program)
			require.NoError(t, err)
			packages := strings.Fields(run(t, "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}",
				"./"+c.host))
			modules := strings.Fields(run(t, "go", "list", "-deps", "-f", "{{if not .Standard}}{{.Module.Path}}{{end}}",
				"./"+c.host))
			slices.Sort(modules)
			modules = slices.Compact(modules)
			t.Logf("%s: %d bytes, %d packages, %d modules", c.host, fi.Size(), len(packages), len(modules))
			require.LessOrEqual(t, fi.Size(), c.bytes)
			require.LessOrEqual(t, len(packages), c.packages)
			require.LessOrEqual(t, len(modules), c.modules, "%s", modules)
		})
	}
}

func run(t *testing.T, name string, args ...string) string {
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	return string(out)
}
