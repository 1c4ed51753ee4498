// Command bucket serves a mirror whose storage is a bucket, for the tests of replicas. It has the
// flags that package harness gives to examples/mirror.
package main

import (
	"context"
	"flag"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/mirror/config"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/s3"
	"gocloud.dev/blob"
	_ "gocloud.dev/blob/s3blob" // the scheme of -storage
)

func main() {
	addr := flag.String("addr", "127.0.0.1:5000", "Listen on this `address`.")
	bucket := flag.String("storage", "", "Store everything in the bucket at this `URL`.")
	path := flag.String("config", "", "Read the upstreams from this `file`.")
	flag.String("log-level", "", "Ignored.")
	flag.Parse()
	handler, err := newHandler(context.Background(), *bucket, *path)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: *addr, Handler: handler, ReadHeaderTimeout: 30 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// newHandler returns the mirror.
func newHandler(ctx context.Context, url, path string) (http.Handler, error) {
	c, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	b, err := blob.OpenBucket(ctx, url)
	if err != nil {
		return nil, err
	}
	d, err := gocloud.New(ctx, b, &gocloud.Options{Providers: []gocloud.Provider{s3.Provider(nil)}})
	if err != nil {
		return nil, err
	}
	store, err := storage.New(ctx, d, nil)
	if err != nil {
		return nil, err
	}
	c.Options.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	m, err := mirror.New(ctx, store, d, c.Upstreams, &c.Options)
	if err != nil {
		return nil, err
	}
	go func() { log.Print(m.Run(ctx)) }()
	reg, err := registry.New(m, &registry.Options{Resolve: m.Resolve, Logger: c.Options.Logger})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.Handle("/v2/", reg)
	return mux, nil
}
