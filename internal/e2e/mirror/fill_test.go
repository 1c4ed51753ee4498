package mirror

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// blob is a large blob of the upstream. Its content is also a file that this process has mapped.
type blob struct {
	repo    string
	digest  digest.Digest
	content []byte
}

// pushBig pushes an image with one layer of some size to the upstream.
func pushBig(t *testing.T, p *place, repo string, size int64) *blob {
	t.Helper()
	path := filepath.Join(t.TempDir(), "layer")
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	_, err = io.Copy(f, harness.Random(uint64(size), size))
	require.NoError(t, err)
	content, err := syscall.Mmap(int(f.Fd()), 0, int(size), syscall.PROT_READ, syscall.MAP_SHARED)
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Munmap(content) })
	b := &blob{repo, digest.FromBytes(content), content}
	c := harness.NewClient(p.upstream.URL())
	require.NoError(t, c.PushStream(t.Context(), repo, b.digest, bytes.NewReader(content), size))
	config := []byte(`{"architecture":"amd64","os":"linux"}`)
	_, err = c.PushBlob(t.Context(), repo, config)
	require.NoError(t, err)
	m := harness.ManifestOf(t.Name(), nil, harness.Descriptor("", config),
		imagespec.Descriptor{Digest: b.digest, Size: size})
	require.NoError(t, c.PutManifest(t.Context(), repo, "v1", imagespec.MediaTypeImageManifest, m))
	return b
}

// read reads length bytes of the blob, by the header Range that containerd sends, and closes the
// response. It compares the bytes. rate limits the bytes per second while slow is true.
func (b *blob) read(ctx context.Context, c *harness.Client, offset, length int64, rate int, slow *atomic.Bool) error {
	header := http.Header{"Range": {fmt.Sprintf("bytes=%d-", offset)}, "Accept-Encoding": {"zstd, gzip, deflate"}}
	res, err := c.Send(ctx, http.MethodGet, "/v2/docker.io/"+b.repo+"/blobs/"+b.digest.String(), header, nil, 0)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusPartialContent || res.Header.Get("Content-Encoding") != "" {
		return fmt.Errorf("status %d, encoding %q", res.StatusCode, res.Header.Get("Content-Encoding"))
	}
	buf := make([]byte, 64<<10)
	for at := offset; at < offset+length; {
		n, err := io.ReadFull(res.Body, buf[:min(int64(len(buf)), offset+length-at)])
		if err != nil {
			return fmt.Errorf("at %d: %w", at, err)
		}
		if !bytes.Equal(buf[:n], b.content[at:at+int64(n)]) {
			return fmt.Errorf("wrong bytes at %d", at)
		}
		at += int64(n)
		if slow != nil && slow.Load() {
			time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
		}
	}
	return nil
}

// TestOneFill has clients read a cold blob in ranges, all at once. Each range is open-ended, as
// containerd sends it. The first clients read all of the blob, the others the beginning of each of
// their ranges. The upstream gets one request, the memory of the mirror is bounded, and clients that
// read slowly slow nobody.
func TestOneFill(t *testing.T) {
	clients, ranges, length := size(25, 200), 8, int64(size(64, 1024))<<20
	const limit, slowRate, slowClients, whole, part = 64, 1_000_000, 3, 20, 16 << 20
	p := newPlaceWith(t, harness.Ours, harness.Options{Env: []string{"GODEBUG=gctrace=1"}})
	b := pushBig(t, p, "library/big", length)
	c := harness.NewClient(p.mirror.URL())
	_, err := c.Do(t.Context(), http.StatusOK, http.MethodGet, "/v2/docker.io/library/big/manifests/v1",
		harness.Accept(), nil)
	require.NoError(t, err)
	idle, err := harness.Memory(p.mirror.PID(), "VmHWM")
	require.NoError(t, err)
	p.seen.Forget()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()

	start, errs := time.Now(), make(chan error, clients*ranges+slowClients)
	var quick, slow sync.WaitGroup
	var slowly atomic.Bool
	slowly.Store(true)
	for range slowClients {
		slow.Go(func() { errs <- b.read(ctx, harness.NewClient(p.mirror.URL()), 0, length, slowRate, &slowly) })
	}
	var read int64
	for n := range clients {
		each, chunk := harness.NewClient(p.mirror.URL()), length/int64(ranges)
		for i := range ranges {
			want := chunk
			if n >= whole {
				want = min(chunk, part)
			}
			read += want
			quick.Go(func() { errs <- b.read(ctx, each, int64(i)*chunk, want, 0, nil) })
		}
	}
	quick.Wait()
	took := time.Since(start)
	slowly.Store(false) // the rest at full speed, to compare it
	slow.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	gets := p.seen.Count(`^GET .*/blobs/` + b.digest.String())
	peak, err := harness.Memory(p.mirror.PID(), "VmHWM")
	require.NoError(t, err)
	live := liveHeap(t, p.mirror)
	t.Logf("%d clients x %d ranges of %d MiB: %d GET at the upstream, %d MiB read in %v; live heap at most %d MiB, "+
		"resident at most %.1f MiB (%.1f MiB before), %d processors", clients, ranges, length>>20, gets, read>>20, took,
		live, mib(peak), mib(idle), runtime.GOMAXPROCS(0))
	require.Equal(t, 1, gets, "%s", p.seen)
	require.LessOrEqual(t, live, limit)
	// What the collector has not yet collected comes on top, and 1,600 connections of net/http.
	require.LessOrEqual(t, peak, int64(2*limit)<<20)
}

// collection is a line of a garbage collection. Its group is the live heap after it, in MiB.
var collection = regexp.MustCompile(`(?m)^gc \d+ @.*->\d+->(\d+) MB, `)

// liveHeap returns the largest live heap of a process with GODEBUG=gctrace=1, in MiB.
func liveHeap(t *testing.T, s *harness.Server) (most int) {
	t.Helper()
	log, err := os.ReadFile(s.Log)
	require.NoError(t, err)
	for _, m := range collection.FindAllSubmatch(log, -1) {
		n, err := strconv.Atoi(string(m[1]))
		require.NoError(t, err)
		most = max(most, n)
	}
	require.NotZero(t, most, "no collection")
	return most
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// TestFirstClientLeaves: the first client of a fill leaves, and another one gets the whole blob from
// the same request at the upstream.
func TestFirstClientLeaves(t *testing.T) {
	p := newPlace(t, harness.Ours)
	b := pushBig(t, p, "library/big", 96<<20)
	p.seen.Forget()
	require.NoError(t, b.read(t.Context(), harness.NewClient(p.mirror.URL()), 0, 1<<20, 0, nil))
	require.NoError(t, b.read(t.Context(), harness.NewClient(p.mirror.URL()), 0, int64(len(b.content)), 0, nil))
	require.Equal(t, 1, p.seen.Count(`^GET .*/blobs/`+b.digest.String()), "%s", p.seen)
}
