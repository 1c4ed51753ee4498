package drivertest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

// BenchmarkDriver measures the operations that a registry performs most. newDriver returns a driver
// on empty storage.
func BenchmarkDriver(b *testing.B, newDriver func(b *testing.B) driver.Driver) {
	b.Helper()
	for _, c := range []struct {
		name string
		run  func(b *testing.B, d driver.Driver)
	}{
		{"Open500", benchOpen(500)},
		{"Open1MiB", benchOpen(1 << 20)},
		{"OpenNotModified", benchNotModified},
		{"Stat", benchStat},
		{"StatMissing", benchMissing},
		{"PutDurable500", benchPut(500, driver.Durable)},
		{"PutDeferred500", benchPut(500, driver.Deferred)},
		{"PutDeferred1MiB", benchPut(1<<20, driver.Deferred)},
		{"PutIfAbsent500", benchPutIfAbsent},
		{"PutSync500", benchPutSync},
		{"Replace500", benchReplace},
		{"List100Of100000", benchList(0, false)},
		{"List100Of100000KeysOnly", benchList(0, true)},
		{"List100Of100000AfterPut", benchList(1, false)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			c.run(b, newDriver(b))
		})
	}
}

func benchFill(b *testing.B, d driver.Driver, n int, size int, format string) {
	b.Helper()
	content := bytes.Repeat([]byte("x"), size)
	for i := range n {
		_, err := d.Put(b.Context(), fmt.Sprintf(format, i), bytes.NewReader(content),
			&driver.PutOptions{Durability: driver.Relaxed})
		require.NoError(b, err)
	}
}

func benchOpen(size int) func(b *testing.B, d driver.Driver) {
	return func(b *testing.B, d driver.Driver) {
		benchFill(b, d, 100, size, "r/library/m/sha256/%064d")
		keys := benchKeys(100, "r/library/m/sha256/%064d")
		buf := make([]byte, size)
		b.SetBytes(int64(size))
		for i := 0; b.Loop(); i++ {
			r, info, err := d.Open(b.Context(), keys[i%len(keys)], nil)
			if err != nil || info.Size != int64(size) {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(r, buf); err != nil {
				b.Fatal(err)
			}
			if err := r.Close(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func benchKeys(n int, format string) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf(format, i)
	}
	return keys
}

func benchNotModified(b *testing.B, d driver.Driver) {
	info, err := d.Put(b.Context(), "dir/key", nil, nil)
	require.NoError(b, err)
	opts := &driver.OpenOptions{IfNotVersion: info.Version}
	for b.Loop() {
		if _, _, err := d.Open(b.Context(), "dir/key", opts); err == nil {
			b.Fatal("modified")
		}
	}
}

func benchStat(b *testing.B, d driver.Driver) {
	benchFill(b, d, 1, 500, "dir/key%d")
	for b.Loop() {
		if _, err := d.Stat(b.Context(), "dir/key0"); err != nil {
			b.Fatal(err)
		}
	}
}

func benchMissing(b *testing.B, d driver.Driver) {
	benchFill(b, d, 1, 500, "dir/key%d")
	for b.Loop() {
		if _, err := d.Stat(b.Context(), "dir/none"); err == nil {
			b.Fatal("found")
		}
	}
}

// benchEach puts objects to new keys, one after the other.
func benchEach(b *testing.B, size int, put func(ctx context.Context, key string, body io.Reader) error) {
	content := bytes.Repeat([]byte("x"), size)
	b.SetBytes(int64(size))
	for i := 0; b.Loop(); i++ {
		if err := put(b.Context(), fmt.Sprintf("r/library/b/sha256/%064d", i), bytes.NewReader(content)); err != nil {
			b.Fatal(err)
		}
	}
}

func benchPut(size int, durability driver.Durability) func(b *testing.B, d driver.Driver) {
	return func(b *testing.B, d driver.Driver) {
		benchEach(b, size, func(ctx context.Context, key string, body io.Reader) error {
			_, err := d.Put(ctx, key, body, &driver.PutOptions{Durability: durability})
			return err
		})
	}
}

func benchPutIfAbsent(b *testing.B, d driver.Driver) {
	benchEach(b, 500, func(ctx context.Context, key string, body io.Reader) error {
		_, err := d.Put(ctx, key, body, &driver.PutOptions{IfAbsent: true, Durability: driver.Deferred})
		return err
	})
}

func benchPutSync(b *testing.B, d driver.Driver) {
	benchEach(b, 500, func(ctx context.Context, key string, body io.Reader) error {
		if _, err := d.Put(ctx, key, body, &driver.PutOptions{Durability: driver.Deferred}); err != nil {
			return err
		}
		return d.Sync(ctx, key)
	})
}

func benchReplace(b *testing.B, d driver.Driver) {
	content := bytes.Repeat([]byte("x"), 500)
	for b.Loop() {
		if _, err := d.Put(b.Context(), "dir/key", bytes.NewReader(content),
			&driver.PutOptions{Durability: driver.Relaxed}); err != nil {
			b.Fatal(err)
		}
	}
}

// benchList lists pages of 100 of 100,000 keys, with the given number of Puts before each page.
func benchList(puts int, keysOnly bool) func(b *testing.B, d driver.Driver) {
	return func(b *testing.B, d driver.Driver) {
		benchFill(b, d, 100_000, 10, "r/library/t/v%06d")
		_, err := listKeys(b.Context(), d, "r/library/t/", nil, 1)
		require.NoError(b, err)
		for i := 0; b.Loop(); i++ {
			after := fmt.Sprintf("r/library/t/v%06d", i*7919%99_000)
			for range puts {
				if _, err := d.Put(b.Context(), fmt.Sprintf("%s-%d", after, i), nil,
					&driver.PutOptions{Durability: driver.Relaxed}); err != nil {
					b.Fatal(err)
				}
			}
			opts := &driver.ListOptions{After: after, PageHint: 100, KeysOnly: keysOnly}
			keys, err := listKeys(b.Context(), d, "r/library/t/", opts, 100)
			if err != nil || len(keys) != 100 {
				b.Fatal(len(keys), err)
			}
		}
	}
}
