package layout_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/layout"
	"github.com/registrykit/registry/registrytest"
)

// kit returns what of the contract of a Backend a layout keeps.
func kit() *registrytest.Options {
	return &registrytest.Options{
		NoDelete: true, Appends: 100, Writers: 8, LargeSize: 2 << 20,
		Skip: []string{
			// The repositories of a layout share their content.
			"BlobInOtherRepository", "ManifestUnknown", "Referrers", "MountFrom", "MountRefused", "ManifestMissing",
			// The layout has no record of what was stored sparsely, or of the media type of a first push.
			"ManifestSparse", "ManifestMediaType", "ManifestMediaTypeRace",
		},
	}
}

func TestBackendOfDirectory(t *testing.T) {
	registrytest.TestBackend(t, func(t *testing.T) registry.Backend {
		return create(t, filepath.Join(inMemory(t), "dir"), &layout.Options{Repository: "a/b"})
	}, kit())
}

func TestBackendOfArchive(t *testing.T) {
	registrytest.TestBackend(t, func(t *testing.T) registry.Backend {
		return create(t, filepath.Join(t.TempDir(), "file.tar"), &layout.Options{Repository: "a/b"})
	}, kit())
}

// TestReadOnlyBackend: what was pushed to a directory is visible at once to a Layout of Open, which
// refuses to write.
func TestReadOnlyBackend(t *testing.T) {
	opts := kit()
	writable := map[registry.Backend]registry.Backend{}
	opts.ReadOnly = func(_ *testing.T, b registry.Backend) registry.Backend { return writable[b] }
	registrytest.TestBackend(t, func(t *testing.T) registry.Backend {
		path := filepath.Join(inMemory(t), "dir")
		w := create(t, path, &layout.Options{Repository: "a/b"})
		b := open(t, path, &layout.Options{Repository: "a/b"})
		writable[b] = w
		return b
	}, opts)
}

// inMemory returns a temporary directory in memory if the system has one, because the kit would
// wait thousands of times for a disk.
func inMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "layout-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}
