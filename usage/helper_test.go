package usage_test

import (
	"bytes"
	"io"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
	"github.com/registrykit/registry/usage"
)

func onDrivers(t *testing.T, test func(t *testing.T, d driver.Driver)) {
	t.Run("memory", func(t *testing.T) { test(t, memory.New(nil)) })
	t.Run("disk", func(t *testing.T) {
		d, err := disk.New(t.TempDir(), nil)
		require.NoError(t, err)
		test(t, d)
	})
}

func newStore(t testing.TB, d driver.Driver, opts *storage.Options) *storage.Store {
	t.Helper()
	s, err := storage.New(t.Context(), d, opts)
	require.NoError(t, err)
	return s
}

func newMeter(t testing.TB, d driver.Driver) *usage.Meter {
	t.Helper()
	m, err := usage.New(newStore(t, d, nil), d, nil)
	require.NoError(t, err)
	return m
}

// newCounted returns a Meter and the driver that counts its requests.
func newCounted(t testing.TB, d driver.Driver) (*usage.Meter, *drivertest.Faulty) {
	t.Helper()
	f := drivertest.NewFaulty(d, nil)
	return newMeter(t, f), f
}

// push pushes the random image of a seed, with two layers of a size in bytes.
func push(t testing.TB, b registry.Backend, repo, tag string, seed uint64, size int) *registrytest.Content {
	t.Helper()
	c := registrytest.RandomImage(seed, 2, size)
	require.NoError(t, c.Push(t.Context(), b, repo, tag))
	return c
}

// pushBlob pushes a blob.
func pushBlob(t testing.TB, b registry.Backend, repo string, content []byte) {
	t.Helper()
	_, err := registry.PushBlob(t.Context(), b, repo, "", bytes.NewReader(content))
	require.NoError(t, err)
}

// collect returns the elements of an iteration without errors.
func collect[T any](t testing.TB, all iter.Seq2[T, error]) []T {
	t.Helper()
	got := []T{}
	for e, err := range all {
		require.NoError(t, err)
		got = append(got, e)
	}
	return got
}

// damage overwrites each object below a prefix with what f makes of it.
func damage(t testing.TB, d driver.Driver, prefix string, f func([]byte) []byte) {
	t.Helper()
	for info, err := range d.List(t.Context(), prefix, nil) {
		require.NoError(t, err)
		write(t, d, info.Key, f(read(t, d, info.Key)))
	}
}

func keys(t testing.TB, d driver.Driver, prefix string) []string {
	t.Helper()
	var keys []string
	for info, err := range d.List(t.Context(), prefix, nil) {
		require.NoError(t, err)
		keys = append(keys, info.Key)
	}
	return keys
}

func read(t testing.TB, d driver.Driver, key string) []byte {
	t.Helper()
	r, _, err := d.Open(t.Context(), key, nil)
	require.NoError(t, err)
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	return b
}

func write(t testing.TB, d driver.Driver, key string, b []byte) {
	t.Helper()
	_, err := d.Put(t.Context(), key, bytes.NewReader(b), nil)
	require.NoError(t, err)
}
