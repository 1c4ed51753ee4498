package scrub_test

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/scrub"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/memory"
)

// BenchmarkRun compares the throughput of a run with that of sha256 over the same bytes, in one goroutine
// each: "of-sha256" is their ratio.
func BenchmarkRun(b *testing.B) {
	const size, blobs = 16 << 20, 8
	content := make([][]byte, blobs)
	for i := range content {
		content[i] = random(uint64(i), size)
	}
	d, err := disk.New(b.TempDir(), nil)
	require.NoError(b, err)
	s := newStore(b, d, nil)
	for _, c := range content {
		pushBlob(b, s, "r", c)
	}
	b.SetBytes(size * blobs)
	scrubbing, hashing := time.Duration(0), time.Duration(0)
	for b.Loop() {
		start := time.Now()
		for _, c := range content {
			_ = sha256.Sum256(c)
		}
		hashing += time.Since(start)
		start = time.Now()
		r := scrubbed(b, s, d, &scrub.Options{Parallel: 1})
		scrubbing += time.Since(start)
		require.Equal(b, int64(size*blobs), r.Bytes)
	}
	b.ReportMetric(float64(hashing)/float64(scrubbing), "of-sha256")
}

// BenchmarkRunOfManyBlobs checks a storage of small blobs: images of ten blobs, 100 images in a repository.
func BenchmarkRunOfManyBlobs(b *testing.B) {
	const images, each = 1000, 10
	d := memory.New(nil)
	s := newStore(b, d, nil)
	for i := range images {
		repo := fmt.Sprint("team/r", i/100)
		descs := []ocispec.Descriptor{pushBlob(b, s, repo, []byte("{}"))}
		for j := range each - 1 {
			descs = append(descs, pushBlob(b, s, repo, random(uint64(i*each+j), 20_000)))
		}
		putImage(b, s, repo, image("", nil, descs...), fmt.Sprint("v", i))
	}
	require.Equal(b, digest.Canonical, digest.SHA256)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	most := uint64(0)
	requests, count := int64(0), int64(0)
	for b.Loop() {
		r := scrubbed(b, s, d, &scrub.Options{Progress: func(scrub.Report) {
			runtime.ReadMemStats(&after)
			most = max(most, after.HeapAlloc)
		}})
		requests, count = r.Requests, r.Blobs
	}
	b.ReportMetric(float64(requests)/float64(count), "requests/blob")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(count), "ns/blob")
	b.ReportMetric(float64(int64(most)-int64(before.HeapAlloc))/(1<<20), "MiB-heap")
}
