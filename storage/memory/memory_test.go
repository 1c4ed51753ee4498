package memory_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newDriver(t testing.TB, opts *memory.Options) *memory.Driver {
	t.Helper()
	return memory.New(opts)
}

func TestDriver(t *testing.T) {
	drivertest.TestDriver(t, func(t *testing.T) driver.Driver { return newDriver(t, nil) }, nil)
}

// TestDriverWithSmallObjects: a driver whose objects have a maximum size keeps the contract.
func TestDriverWithSmallObjects(t *testing.T) {
	drivertest.TestDriver(t, func(t *testing.T) driver.Driver {
		return newDriver(t, &memory.Options{MaxObjectSize: 5 << 20})
	}, &drivertest.Options{LargeSize: 5 << 20})
}

func BenchmarkDriver(b *testing.B) {
	drivertest.BenchmarkDriver(b, func(b *testing.B) driver.Driver { return newDriver(b, nil) })
}

func TestNewOutOfRangeOptionsAreAdjusted(t *testing.T) {
	d := memory.New(&memory.Options{MaxBytes: -1, MaxObjectSize: -1})
	require.Zero(t, d.MaxObjectSize())
	_, err := d.Put(t.Context(), "key", strings.NewReader("content"), nil)
	require.NoError(t, err)
	d = memory.New(&memory.Options{MaxObjectSize: driver.MinObjectSize - 1})
	require.EqualValues(t, driver.MinObjectSize, d.MaxObjectSize())
}

// TestMaxBytes: the bound holds for all objects and all bodies being read together, and what fails
// or goes away is given back.
func TestMaxBytes(t *testing.T) {
	d := newDriver(t, &memory.Options{MaxBytes: 1000})
	put := func(key string, size int, opts *driver.PutOptions) error {
		_, err := d.Put(t.Context(), key, strings.NewReader(strings.Repeat("x", size)), opts)
		return err
	}
	require.NoError(t, put("a", 600, nil))
	require.ErrorIs(t, put("b", 401, nil), driver.ErrNoSpace)
	require.NoError(t, put("b", 400, nil))
	require.ErrorIs(t, put("c", 1, nil), driver.ErrNoSpace)
	require.NoError(t, put("c", 0, nil))
	require.NoError(t, d.Delete(t.Context(), "a", ""))
	for range 10 {
		require.NoError(t, put("b", 500, nil), "replacing gives back")
		require.ErrorIs(t, put("b", 500, &driver.PutOptions{IfAbsent: true}), driver.ErrExist)
		require.ErrorIs(t, put("b", 500, &driver.PutOptions{IfVersion: "x"}), driver.ErrChanged)
		_, err := d.Put(t.Context(), "d", io.MultiReader(strings.NewReader("some"), broken{}), nil)
		require.ErrorIs(t, err, errBroken)
	}
	require.NoError(t, put("d", 500, nil))
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

func TestOpenIsASeeker(t *testing.T) {
	d := newDriver(t, nil)
	_, err := d.Put(t.Context(), "key", strings.NewReader("0123456789"), nil)
	require.NoError(t, err)
	r, _, err := d.Open(t.Context(), "key", nil)
	require.NoError(t, err)
	s, ok := r.(io.ReadSeeker)
	require.True(t, ok)
	_, err = s.Seek(7, io.SeekStart)
	require.NoError(t, err)
	rest, err := io.ReadAll(s)
	require.NoError(t, err)
	require.Equal(t, "789", string(rest))
}

// BenchmarkMillion measures a page of 100, and an insertion, among a million keys.
func BenchmarkMillion(b *testing.B) {
	d := newDriver(b, nil)
	key := func(i int) string { return fmt.Sprintf("r/library/t/v%08d", i*7919%100_000_007) }
	for i := range 1_000_000 {
		_, err := d.Put(b.Context(), key(i), nil, nil)
		require.NoError(b, err)
	}
	b.Run("List100", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			n := 0
			for range d.List(b.Context(), "r/library/t/", &driver.ListOptions{After: key(i % 1000), PageHint: 100}) {
				if n++; n == 100 {
					break
				}
			}
		}
	})
	b.Run("Put", func(b *testing.B) {
		for i := 1_000_000; b.Loop(); i++ {
			if _, err := d.Put(b.Context(), key(i), nil, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
