// Command memory shows that the server's memory does not depend on the size of blobs: clients push
// and pull blobs of 1 GiB at once, then one of 10 GiB, and the process may grow by less than 64
// MiB. Blobs are generated, never held.
//
// With -s3 the blobs go to MinIO: 32 clients push 64 MiB each at once, then one 4 GiB, and then 32
// declare 5 TiB each, send 48 MiB and fall silent. What an upload takes there is a part, so the
// process may take 512 MiB in all.
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
	limit   = 64 << 20  // growth
	limitS3 = 512 << 20 // in all
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

	// What a server has once it has served something, whatever its size.
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

// step lets clients push and pull at once and compares the peak of the process with its base.
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

// peak compares the peak of the process with what is allowed.
func peak(server *harness.Server, base, allowed int64, start time.Time, name string) error {
	// VmHWM is the kernel's own record of the highest VmRSS, so that nothing between two samples is
	// missed.
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

// pushPull pushes a generated blob, hashing it on the way, and pulls it again.
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
