//go:build linux

package registry_test

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
)

// BenchmarkBlobSegments compares the CPU time of the server for a blob of 512 MiB in one file, and
// in 128 files as a mirror stores it. The client is curl, so that only the server is measured. The
// value cpu-ms/op counts.
func BenchmarkBlobSegments(b *testing.B) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		b.Skip("needs curl")
	}
	const size = 512 << 20
	d, err := disk.New(b.TempDir(), nil)
	require.NoError(b, err)
	store, err := storage.New(b.Context(), d, nil)
	require.NoError(b, err)
	reg, err := registry.New(store, nil)
	require.NoError(b, err)
	server := httptest.NewServer(reg)
	defer server.Close()
	for _, segments := range []int{1, 128} {
		b.Run(fmt.Sprint(segments), func(b *testing.B) {
			repo := fmt.Sprint("r", segments)
			u, err := store.CreateUpload(b.Context(), repo, nil)
			require.NoError(b, err)
			block := bytes.Repeat([]byte{byte(segments)}, size/segments) // no sharing between the two blobs
			hash := digest.SHA256.Digester()
			for range segments {
				_, _ = hash.Hash().Write(block)
				_, err = u.Append(b.Context(), u.Size(), int64(len(block)), bytes.NewReader(block))
				require.NoError(b, err)
			}
			_, err = u.Commit(b.Context(), hash.Digest(), nil)
			require.NoError(b, err)
			url := server.URL + "/v2/" + repo + "/blobs/" + string(hash.Digest())
			get := func() {
				out, err := exec.Command(curl, "-sSf", "-o", "/dev/null", "-w", "%{size_download}", url).CombinedOutput()
				require.NoError(b, err, "%s", out)
				require.Equal(b, fmt.Sprint(size), string(out))
			}
			get() // the page cache is warm
			b.SetBytes(size)
			before := cpuTime(b)
			for b.Loop() {
				get()
			}
			b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N)/1e6, "cpu-ms/op")
		})
	}
}

// cpuTime returns the CPU time that this process has used, without its children.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
