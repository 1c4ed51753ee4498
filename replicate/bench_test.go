package replicate_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/replicate"
)

// TestCopyHoldsNoBlob: the memory that a copy allocates does not depend on the size of the blobs.
func TestCopyHoldsNoBlob(t *testing.T) {
	const size = 32 << 20
	src := onDisk(t)
	push(t, src, "r", registrytest.RandomImage(1, 1, size), "v1")
	dst := onDisk(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := replicate.Copy(t.Context(), dst, src, "r:v1", nil)
	require.NoError(t, err)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(size/8))
}

// benchmarkSize returns the size of the layers of the benchmarks, in bytes, together.
func benchmarkSize() int {
	if testing.Short() {
		return 32 << 20
	}
	return 1 << 30
}

// benchmarkCopy copies an image of four layers.
func benchmarkCopy(b *testing.B, newDst func(b *testing.B) registry.Backend, src registry.Backend,
	behind registry.Writer) {
	size := benchmarkSize()
	push(b, behind, "r", registrytest.RandomImage(1, 4, size/4), "v1")
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		dst := newDst(b)
		runtime.GC()
		b.StartTimer()
		_, err := replicate.Copy(b.Context(), dst, src, "r:v1", nil)
		require.NoError(b, err)
	}
}

func BenchmarkCopyInProcess(b *testing.B) {
	s := onDisk(b)
	benchmarkCopy(b, func(b *testing.B) registry.Backend { return onDisk(b) }, s, s)
}

func BenchmarkCopyOverLoopback(b *testing.B) {
	s := onDisk(b)
	benchmarkCopy(b, func(b *testing.B) registry.Backend { return served(b, onDisk(b)) }, served(b, s), s)
}

// served returns a client of a registry over a backend.
func served(t testing.TB, backend registry.Backend) registry.Backend {
	t.Helper()
	reg, err := registry.New(backend, nil)
	require.NoError(t, err)
	s := httptest.NewServer(reg)
	t.Cleanup(s.Close)
	return newClient(t, s.URL, nil)
}

// BenchmarkPlainHTTP is what the copy over loopback is measured against: GET from a server and PUT to
// another one, which computes the digest and stores nothing, with as many layers at a time.
func BenchmarkPlainHTTP(b *testing.B) {
	content := registrytest.RandomBytes(1, benchmarkSize()/4)
	from := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = io.Copy(w, bytes.NewReader(content))
	}))
	defer from.Close()
	to := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(sha256.New(), r.Body)
	}))
	defer to.Close()
	b.SetBytes(int64(4 * len(content)))
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		errs := make(chan error, 4)
		limit := make(chan struct{}, replicate.DefaultParallel)
		for range 4 {
			limit <- struct{}{}
			go func() {
				errs <- plainCopy(b, to.URL, from.URL, int64(len(content)))
				<-limit
			}()
		}
		for range 4 {
			require.NoError(b, <-errs)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func plainCopy(b *testing.B, to, from string, size int64) error {
	res, err := http.Get(from)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPut, to, res.Body)
	if err != nil {
		return err
	}
	req.ContentLength = size
	put, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return put.Body.Close()
}
