//go:build linux || darwin

package disk

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

func BenchmarkDriver(b *testing.B) {
	drivertest.BenchmarkDriver(b, func(b *testing.B) driver.Driver { return newDriver(b, b.TempDir(), nil) })
}

// BenchmarkListCold lists a page of 100 of 100,000 keys with an empty cache.
func BenchmarkListCold(b *testing.B) {
	d := newDriver(b, b.TempDir(), &Options{ListCache: -1})
	for i := range 100_000 {
		_, err := d.Put(b.Context(), fmt.Sprintf("t/v%06d", i), nil, relaxed)
		require.NoError(b, err)
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range d.List(b.Context(), "t/", &driver.ListOptions{After: "t/v05"}) {
			if err != nil {
				b.Fatal(err)
			}
			if n++; n == 100 {
				break
			}
		}
	}
}

func BenchmarkPutParallel(b *testing.B) {
	d := newDriver(b, b.TempDir(), nil)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			key := fmt.Sprintf("u/%02x/key%p", i%256, pb)
			if _, err := d.Put(b.Context(), key, nil, relaxed); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
