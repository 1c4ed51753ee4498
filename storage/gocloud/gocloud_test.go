package gocloud_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/gocloud"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bucket is a kind of bucket that tests run on.
type bucket struct {
	name   string
	open   func(t testing.TB) *blob.Bucket
	prefix string
	// providers are the providers for the bucket, or nil.
	providers []gocloud.Provider
}

func fileBucket(opts fileblob.Options) func(t testing.TB) *blob.Bucket {
	return func(t testing.TB) *blob.Bucket {
		opts.CreateDir = true
		b, err := fileblob.OpenBucket(t.TempDir(), &opts)
		require.NoError(t, err)
		return b
	}
}

func memBucket(testing.TB) *blob.Bucket { return memblob.OpenBucket(&memblob.Options{NoMD5: true}) }

// recommended returns the options of fileblob that the package documentation recommends.
var recommended = fileblob.Options{NoTempDir: true, Metadata: fileblob.MetadataDontWrite}

var buckets = []bucket{
	{name: "mem", open: memBucket},
	{name: "mem-prefix", open: memBucket, prefix: "Registry/v1/"},
	{name: "file", open: fileBucket(recommended)},
	{name: "file-default-prefix", open: fileBucket(fileblob.Options{}), prefix: "Registry/v1.x/"},
	{name: "network", open: openNetwork, prefix: "v1/", providers: []gocloud.Provider{networkProvider}},
}

// onBuckets runs a test on each kind of bucket.
func onBuckets(t *testing.T, test func(t *testing.T, b bucket)) {
	for _, b := range buckets {
		t.Run(b.name, func(t *testing.T) { test(t, b) })
	}
}

// driver returns a driver on an empty bucket.
func (b bucket) driver(t testing.TB) *gocloud.Driver {
	t.Helper()
	bucket := b.open(t)
	t.Cleanup(func() { require.NoError(t, bucket.Close()) })
	return b.on(t, bucket, nil)
}

// on returns a driver on a bucket.
func (b bucket) on(t testing.TB, on *blob.Bucket, locks *gocloud.Locks) *gocloud.Driver {
	t.Helper()
	d, err := gocloud.New(t.Context(), on, &gocloud.Options{Prefix: b.prefix, Providers: b.providers, Locks: locks})
	require.NoError(t, err)
	return d
}

// TestDriver runs the driver suite. Reopen returns a driver on the same bucket with the same locks.
func TestDriver(t *testing.T) {
	onBuckets(t, func(t *testing.T, b bucket) {
		if testing.Short() && b.prefix != "" && b.providers == nil {
			t.Skip("short")
		}
		t.Parallel() // these tests wait for the file system
		opened := map[driver.Driver]func(t *testing.T) driver.Driver{}
		drivertest.TestDriver(t, func(t *testing.T) driver.Driver {
			on, locks := b.open(t), gocloud.NewLocks()
			t.Cleanup(func() { require.NoError(t, on.Close()) })
			d := b.on(t, on, locks)
			opened[d] = func(t *testing.T) driver.Driver { return b.on(t, on, locks) }
			return d
		}, &drivertest.Options{
			LargeSize:  12 << 20, // more than one part
			Goroutines: 32,
			Reopen:     func(t *testing.T, d driver.Driver) driver.Driver { return opened[d](t) },
		})
	})
}

func BenchmarkDriver(b *testing.B) {
	for _, kind := range buckets {
		if kind.name != "mem" && kind.name != "file" {
			continue
		}
		b.Run(kind.name, func(b *testing.B) {
			drivertest.BenchmarkDriver(b, func(b *testing.B) driver.Driver { return kind.driver(b) })
		})
	}
}

func put(t testing.TB, d driver.Driver, key, content string, opts *driver.PutOptions) driver.Info {
	t.Helper()
	info, err := d.Put(t.Context(), key, strings.NewReader(content), opts)
	require.NoError(t, err)
	return info
}

func keys(t testing.TB, d driver.Driver, prefix string, opts *driver.ListOptions) []string {
	t.Helper()
	list := []string{}
	for info, err := range d.List(t.Context(), prefix, opts) {
		require.NoError(t, err)
		list = append(list, info.Key)
	}
	return list
}

func itoa(i int) string { return strconv.Itoa(i) }
