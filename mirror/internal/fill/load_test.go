package fill_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/mirror/internal/fill"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
)

// TestMemoryOfManyReaders lets clients read a cold blob in ranges that are open at the end, as
// containerd does, while it is filled. The clients and the upstream are in another process. The test
// measures the memory of this one, which serves them.
//
// The garbage collector runs early, because its headroom is the choice of the host (GOGC) and not
// memory that the readers need.
//
// With REGISTRY_FULL=1, 200 clients with 8 ranges each read a blob of 1 GiB; otherwise 50 clients
// read one of 128 MiB, or fewer if the race detector is on. One client reads 1 MB/s, and gets only a part.
func TestMemoryOfManyReaders(t *testing.T) {
	w := workload{Clients: 50, Ranges: 8, Size: 128 << 20}
	if os.Getenv("REGISTRY_FULL") != "" {
		w = workload{Clients: 200, Ranges: 8, Size: 1 << 30}
	} else if raceEnabled {
		w = workload{Clients: 10, Ranges: 8, Size: 32 << 20}
	}
	d, err := disk.New(t.TempDir(), nil)
	require.NoError(t, err)
	defer d.Close()
	store, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	fills := fill.New(store, d, nil)
	defer fills.Close()

	self, err := os.Executable()
	require.NoError(t, err)
	child := exec.CommandContext(t.Context(), self, "-test.run=^$")
	child.Env = append(os.Environ(), "FILL_TEST_CLIENTS="+w.String())
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	require.NoError(t, err)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	lines := bufio.NewScanner(out)
	line := func() string {
		require.True(t, lines.Scan(), "the clients have died")
		return lines.Text()
	}
	src := newSource(t)
	src.urls = []string{line()}
	desc := digest.Digest(line())
	reg, err := registry.New(&backend{fills: fills, store: store, source: src, size: w.Size}, nil)
	require.NoError(t, err)
	server := httptest.NewServer(reg)
	defer server.Close()

	defer debug.SetGCPercent(debug.SetGCPercent(10))
	peak, stop := samplePeak()
	_, err = fmt.Fprintln(in, server.URL+"/v2/"+repo+"/blobs/"+string(desc))
	require.NoError(t, err)
	result := line()
	stop()
	t.Logf("%s; peak of the heap %d MiB, with stacks %d MiB", result, peak.heap.Load()>>20, peak.all.Load()>>20)
	require.True(t, strings.HasPrefix(result, "ok: 1 request"), result)
	require.NoError(t, child.Wait())
	require.NoError(t, fills.Wait(t.Context(), &fill.Request{Repository: repo, Digest: desc, Size: w.Size, Source: src}))
	require.EqualValues(t, w.Size, fills.Stats().Bytes)
	if !raceEnabled {
		require.LessOrEqual(t, peak.heap.Load(), uint64(64<<20))
	}
}

// workload is what the clients do.
type workload struct {
	Clients, Ranges int
	Size            int64 // of the blob, in bytes
}

// String returns the form in which the clients get it.
func (w workload) String() string { return fmt.Sprintf("%d %d %d", w.Clients, w.Ranges, w.Size) }

// backend serves blobs from a store, and fills those that are missing.
type backend struct {
	registry.Unimplemented
	fills  *fill.Fills
	store  *storage.Store
	source fill.Source
	size   int64
}

// OpenBlob implements [registry.Reader].
func (b *backend) OpenBlob(ctx context.Context, repo string, d digest.Digest,
	opts *registry.OpenOptions) (*registry.Blob, error) {
	blob, err := b.store.OpenBlob(ctx, repo, d, nil)
	if err == nil {
		return blob, nil
	}
	return b.fills.Open(ctx, &fill.Request{Repository: repo, Digest: d, Size: b.size, Range: opts.Range, Source: b.source})
}

// peaks are the largest amounts of memory that were seen, in bytes.
type peaks struct{ heap, all atomic.Uint64 }

// samplePeak measures the memory of this process until stop is called.
func samplePeak() (p *peaks, stop func()) {
	runtime.GC()
	p = &peaks{}
	ctx, cancel := context.WithCancel(context.Background())
	var task sync.WaitGroup
	task.Go(func() {
		for ctx.Err() == nil {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			p.heap.Store(max(p.heap.Load(), m.HeapAlloc))
			p.all.Store(max(p.all.Load(), m.HeapInuse+m.StackInuse))
			time.Sleep(50 * time.Millisecond)
		}
	})
	return p, func() { cancel(); task.Wait() }
}

// pattern is a megabyte of the blob. The first bytes of each megabyte are its number.
var pattern = content(9, 1<<20)

// megabyte returns the bytes of a megabyte of the blob.
func megabyte(buf []byte, n int64) []byte {
	copy(buf, pattern)
	binary.BigEndian.PutUint64(buf, uint64(n))
	return buf
}

// runClients is the process of the clients and of the upstream.
func runClients(spec string) int {
	var w workload
	if _, err := fmt.Sscan(spec, &w.Clients, &w.Ranges, &w.Size); err != nil {
		return 2
	}
	var requests atomic.Int64
	up := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		requests.Add(1)
		rw.Header().Set("Content-Length", fmt.Sprint(w.Size))
		buf := make([]byte, 1<<20)
		for n := range w.Size >> 20 {
			if _, err := rw.Write(megabyte(buf, n)); err != nil {
				return
			}
		}
	}))
	defer up.Close()
	h := digest.SHA256.Hash()
	buf := make([]byte, 1<<20)
	for n := range w.Size >> 20 {
		h.Write(megabyte(buf, n))
	}
	fmt.Println(up.URL)
	fmt.Println(digest.NewDigest(digest.SHA256, h))
	url, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		return 2
	}
	begun := time.Now()
	if err := w.run(strings.TrimSpace(url)); err != nil {
		fmt.Println("failed:", err)
		return 1
	}
	fmt.Printf("ok: %d request, %d readers in %v\n", requests.Load(), w.Clients*w.Ranges, time.Since(begun))
	return 0
}

// run lets all clients read.
func (w workload) run(url string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var slow, fast sync.WaitGroup
	errs := make(chan error, w.Clients*w.Ranges)
	for c := range w.Clients {
		for i := range w.Ranges {
			part := w.Size / int64(w.Ranges)
			if c == 0 {
				slow.Go(func() { _ = w.read(ctx, url, int64(i)*part, part, time.Second/time.Duration(16/w.Ranges)) })
				continue
			}
			fast.Go(func() { errs <- w.read(ctx, url, int64(i)*part, part, 0) })
		}
	}
	fast.Wait()
	cancel()
	slow.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// read reads a part of the blob by a range that is open at the end, over a connection of its own. It
// pauses after each 64 KiB.
func (w workload) read(ctx context.Context, url string, first, length int64, pause time.Duration) error {
	tr := &http.Transport{DisableCompression: true, ReadBufferSize: 64 << 10,
		DialContext: (&net.Dialer{}).DialContext}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-", first))
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusPartialContent {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	var number [8]byte
	buf := make([]byte, 64<<10)
	for pos := first; pos < first+length; pos += int64(len(buf)) {
		if _, err := io.ReadFull(resp.Body, buf); err != nil {
			return fmt.Errorf("at %d: %w", pos, err)
		}
		from := pos % (1 << 20)
		want, got := pattern[from:from+int64(len(buf))], buf
		if from == 0 {
			binary.BigEndian.PutUint64(number[:], uint64(pos>>20))
			if !bytes.Equal(got[:8], number[:]) {
				return fmt.Errorf("wrong bytes at %d", pos)
			}
			got, want = got[8:], want[8:]
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("wrong bytes at %d", pos)
		}
		if pause > 0 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}
