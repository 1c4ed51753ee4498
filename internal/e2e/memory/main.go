// Command memory shows that the server's memory does not depend on the size of blobs. Clients push
// and pull blobs of 1 GiB concurrently, then one of 10 GiB. The process must grow by less than 64
// MiB. The clients generate the blobs and do not hold them in memory.
//
// With -s3 the registry stores the blobs on MinIO. 32 clients push 64 MiB each concurrently, then
// one pushes 4 GiB. Then 32 clients declare 5 TiB each, send 48 MiB and stop sending. There each
// upload holds a part in memory, so the process may use 512 MiB in total.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/registrykit/registry/internal/e2e/harness"
)

const (
	limit   = 64 << 20  // maximum growth of the process, in bytes
	limitS3 = 512 << 20 // maximum memory of the process with -s3, in bytes
)

func main() {
	dir := flag.String("dir", os.TempDir(), "folder on a disk with 20 GiB to spare")
	clients := flag.Int("clients", 8, "clients at once")
	each := flag.Int64("each", 1<<30, "bytes that each pushes and pulls")
	one := flag.Int64("one", 10<<30, "bytes of the last blob")
	s3 := flag.Bool("s3", false, "store in MinIO, with 32 clients of 64 MiB and then 4 GiB")
	flag.Parse()
	if *s3 {
		*clients, *each, *one = 32, 64<<20, 4<<30
	}
	if err := run(*dir, *s3, *clients, *each, *one); err != nil {
		fmt.Fprintln(os.Stderr, "memory:", err)
		os.Exit(1)
	}
}

func run(parent string, s3 bool, clients int, each, one int64) (err error) {
	dir, err := os.MkdirTemp(parent, "memory-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	o := harness.Options{Storage: filepath.Join(dir, "data"), Log: filepath.Join(dir, "log")}
	if s3 {
		if o.Bucket, err = harness.StartMinIO(dir); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, o.Bucket.Stop()) }()
	}
	server, err := harness.Start(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()

	// The base is the memory of a server that has already served a request.
	c := harness.NewClient(server.URL())
	if err := pushPull(ctx, c, "memory/warm", 0, 1<<20); err != nil {
		return err
	}
	base, err := harness.Memory(server.PID(), "VmRSS")
	if err != nil {
		return err
	}
	fmt.Printf("resident after the first push and pull: %d MiB\n", base>>20)
	allowed := base + limit
	if s3 {
		allowed = limitS3
	}

	if err := step(ctx, server, base, allowed, fmt.Sprintf("%d clients, %d MiB each", clients, each>>20), clients,
		each); err != nil {
		return err
	}
	if err := step(ctx, server, base, allowed, fmt.Sprintf("1 client, %d MiB", one>>20), 1, one); err != nil || !s3 {
		return err
	}
	return silence(ctx, server, base, allowed, clients)
}

// step lets clients push and pull concurrently and then checks the peak memory of the process.
func step(ctx context.Context, server *harness.Server, base, allowed int64, name string, clients int,
	size int64) error {
	start := time.Now()
	errs := make([]error, clients)
	var wg sync.WaitGroup
	for n := range clients {
		wg.Go(func() {
			c := harness.NewClient(server.URL())
			errs[n] = pushPull(ctx, c, fmt.Sprintf("memory/%d-%d", clients, n), uint64(clients*100+n), size)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return peak(server, base, allowed, start, name)
}

// peak returns an error if the peak memory of the process reaches allowed. It prints the peak and
// its growth over base.
func peak(server *harness.Server, base, allowed int64, start time.Time, name string) error {
	// VmHWM is the highest VmRSS that the kernel has recorded, so it includes peaks between two
	// samples.
	most, err := harness.Memory(server.PID(), "VmHWM")
	if err != nil {
		return err
	}
	anonymous, err := harness.Memory(server.PID(), "RssAnon")
	if err != nil {
		return err
	}
	fmt.Printf("%s: %.0f s, peak %d MiB, grown by %d MiB (anonymous now: %d MiB)\n",
		name, time.Since(start).Seconds(), most>>20, (most-base)>>20, anonymous>>20)
	if most >= allowed {
		return fmt.Errorf("peak of %d MiB, allowed are less than %d", most>>20, allowed>>20)
	}
	return nil
}

// pushPull pushes a generated blob and pulls it again.
func pushPull(ctx context.Context, c *harness.Client, repo string, seed uint64, size int64) error {
	location, err := c.Begin(ctx, repo)
	if err != nil {
		return err
	}
	digester := digest.SHA256.Digester()
	body := io.TeeReader(harness.Random(seed, size), digester.Hash())
	resp, err := c.Send(ctx, http.MethodPatch, location, http.Header{"Content-Type": {"application/octet-stream"}},
		io.NopCloser(body), size)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("PATCH: %d", resp.StatusCode)
	}
	d := digester.Digest()
	if err := c.Commit(ctx, resp.Header.Get("Location"), d, nil, 0); err != nil {
		return err
	}
	return c.PullBlob(ctx, repo, d)
}
