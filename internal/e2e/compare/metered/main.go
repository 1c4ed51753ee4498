// Command metered is a registry on a directory that also reports what its handler allocates. Its
// server has the settings of examples/server.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"runtime/metrics"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:5000", "listen on this `address`")
	dir := flag.String("storage", "", "store in this `directory`")
	flag.Parse()
	if err := run(*addr, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "metered:", err)
		os.Exit(1)
	}
}

func run(addr, dir string) error {
	driver, err := disk.New(dir, nil)
	if err != nil {
		return err
	}
	store, err := storage.New(context.Background(), driver, nil)
	if err != nil {
		return err
	}
	reg, err := registry.New(store, nil)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /allocations", allocations)
	mux.Handle("/", reg)
	server := &http.Server{Addr: addr, Handler: mux, ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 128 << 10}
	return server.ListenAndServe()
}

// allocations responds with the number of objects that the process has allocated on the heap.
func allocations(w http.ResponseWriter, _ *http.Request) {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/tiny/allocs:objects"}}
	metrics.Read(samples)
	fmt.Fprint(w, samples[0].Value.Uint64()+samples[1].Value.Uint64())
}
