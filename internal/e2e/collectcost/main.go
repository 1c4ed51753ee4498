// Command collectcost measures the cost of a garbage collection, or with -keep of retention, usage and
// scrubs: their time, their requests to the storage, and their memory. It generates repositories of
// images, in which a tenth of the blobs is unreferenced. It writes the same records as storage.Store,
// but with data of a few bytes.
//
//	go run ./collectcost -storage mem -blobs 1000000
//	go run ./collectcost -storage disk -blobs 100000
//	go run ./collectcost -storage s3 -blobs 10000        # MinIO
//	go run ./collectcost -storage mem -blobs 1000000 -keep
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/registrykit/registry/storage"
)

func main() {
	kind := flag.String("storage", "mem", "mem, disk or s3")
	blobs := flag.Int("blobs", 1_000_000, "how `many` blobs")
	keep := flag.Bool("keep", false, "measure retention, usage and scrubs instead of collections")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	if err := run(ctx, *kind, *blobs, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "collectcost:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, kind string, blobs int, keep bool) error {
	driver, stop, err := open(ctx, kind)
	if err != nil {
		return err
	}
	defer stop()
	start := time.Now()
	if err := fill(ctx, driver, blobs); err != nil {
		return err
	}
	fmt.Printf("%d blobs made up in %s\n", blobs, time.Since(start).Round(time.Millisecond))
	if keep {
		return housekeeping(ctx, driver)
	}
	return collections(ctx, driver)
}

// collections measures collections.
func collections(ctx context.Context, driver storage.Driver) error {
	store, err := storage.New(ctx, driver, nil)
	if err != nil {
		return err
	}
	fmt.Println("| collection | time | requests | memory | blobs | data | removed: blobs | data |")
	fmt.Println("|---|---:|---:|---:|---:|---:|---:|---:|")
	for _, name := range []string{"with a tenth to remove", "with nothing to remove"} {
		peak := watch()
		r, err := store.Collect(ctx, &storage.CollectOptions{Grace: -1})
		if err != nil {
			return err
		}
		fmt.Printf("| %s | %s | %d | %d MiB | %d | %d | %d | %d |\n", name, r.Duration.Round(time.Millisecond), r.Requests,
			peak()>>20,
			r.Blobs, r.Data, r.Removed.Blobs, r.Removed.Data)
	}
	return nil
}

// watch starts to measure the growth of the heap. The returned function stops the measurement and
// returns the maximum, in bytes. Each sample collects the garbage of the process, which takes seconds
// if the storage is in its memory. The pause after a sample is therefore 20 times as long.
func watch() func() uint64 {
	var pause time.Duration
	heap := func() uint64 {
		began := time.Now()
		defer func() { pause = max(500*time.Millisecond, 20*time.Since(began)) }()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	var most atomic.Uint64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(pause):
				most.Store(max(most.Load(), heap()))
			}
		}
	}()
	return func() uint64 {
		close(stop)
		<-stopped
		most.Store(max(most.Load(), heap()))
		return max(most.Load(), before) - before
	}
}
