package registrytest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// storesOn returns two functions: open opens a store on a new driver, and reopen opens another
// store on the last driver.
func storesOn(newDriver func(t *testing.T) driver.Driver, opts *storage.Options) (open,
	reopen func(t *testing.T) registry.Backend) {
	var last driver.Driver
	on := func(t *testing.T) registry.Backend {
		s, err := storage.New(t.Context(), last, opts)
		require.NoError(t, err)
		return s
	}
	return func(t *testing.T) registry.Backend {
		last = newDriver(t)
		return on(t)
	}, on
}

func testStore(t *testing.T, newDriver func(t *testing.T) driver.Driver, store *storage.Options,
	opts registrytest.Options) {
	open, reopen := storesOn(newDriver, store)
	opts.Reopen = func(t *testing.T, _ registry.Backend) registry.Backend { return reopen(t) }
	registrytest.TestBackend(t, open, &opts)
}

func TestStoreInMemory(t *testing.T) {
	testStore(t, newMemory, nil, registrytest.Options{})
}

// TestStoreOnSmallObjects runs the kit on a driver that cannot keep a large blob in one object.
func TestStoreOnSmallObjects(t *testing.T) {
	testStore(t, func(t *testing.T) driver.Driver {
		return memory.New(&memory.Options{MaxObjectSize: 5 << 20})
	}, nil, registrytest.Options{LargeSize: 23<<20 + 1, Appends: 100})
}

func TestStoreSparse(t *testing.T) {
	testStore(t, newMemory, &storage.Options{Sparse: true}, registrytest.Options{Sparse: true, LargeSize: 1 << 20,
		Appends: 100})
}

func TestStoreOnDisk(t *testing.T) {
	testStore(t, func(t *testing.T) driver.Driver {
		d, err := disk.New(t.TempDir(), &disk.Options{NoSync: true})
		require.NoError(t, err)
		return d
	}, nil, registrytest.Options{})
}

// TestStoreWithHistory runs the kit on stores that keep a history.
func TestStoreWithHistory(t *testing.T) {
	opts := &storage.Options{History: time.Hour}
	kit := registrytest.Options{History: true, LargeSize: 1 << 20, Appends: 100}
	t.Run("memory", func(t *testing.T) { testStore(t, newMemory, opts, kit) })
	t.Run("disk", func(t *testing.T) {
		testStore(t, func(t *testing.T) driver.Driver {
			d, err := disk.New(t.TempDir(), &disk.Options{NoSync: true})
			require.NoError(t, err)
			return d
		}, opts, kit)
	})
}

// TestRegistryBackend runs the kit on the guard of a registry.
func TestRegistryBackend(t *testing.T) {
	for name, authorizer := range map[string]auth.Authorizer{
		"nobody asked": nil,
		"all allowed":  auth.AuthorizerFunc(allowAll),
	} {
		t.Run(name, func(t *testing.T) {
			registrytest.TestBackend(t, func(t *testing.T) registry.Backend {
				r, err := registry.New(registrytest.NewStore(t), &registry.Options{Authorizer: authorizer})
				require.NoError(t, err)
				return r.Backend(auth.Identity{Name: registrytest.DefaultOwner})
			}, &registrytest.Options{FillsOwner: true, LargeSize: 1 << 20, Appends: 100})
		})
	}
}

// TestRegistryNoDelete checks that disabled deletes are rejected, whatever they name.
func TestRegistryNoDelete(t *testing.T) {
	registrytest.TestBackend(t, func(t *testing.T) registry.Backend {
		r, err := registry.New(registrytest.NewStore(t), &registry.Options{
			NoDelete: registry.NoDelete{Tags: true, Manifests: true, Blobs: true, Repositories: true},
		})
		require.NoError(t, err)
		return r.Backend(auth.Identity{Name: registrytest.DefaultOwner})
	}, &registrytest.Options{NoDelete: true, FillsOwner: true, LargeSize: 1 << 20, Appends: 100})
}

// TestIntercept checks that an interceptor that only calls next changes nothing.
func TestIntercept(t *testing.T) {
	registrytest.TestBackend(t, func(t *testing.T) registry.Backend {
		var faults registrytest.Faults
		return registry.Intercept(registrytest.NewStore(t), registry.Chain(faults.Intercept, faults.Intercept))
	}, &registrytest.Options{LargeSize: 1 << 20, Appends: 100})
}

func BenchmarkStoreInMemory(b *testing.B) {
	registrytest.BenchmarkBackend(b, func(b *testing.B) registry.Backend { return registrytest.NewStore(b) })
}
