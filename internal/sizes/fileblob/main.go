// Fileblob is the smallest program with a registry on a bucket of gocloud.dev/blob/fileblob.
// TestSizes measures it.
package main

import (
	"context"
	"log"
	"net/http"
	"os"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/fileblob" // registers the scheme of the URL

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/gocloud"
)

func main() {
	ctx := context.Background()
	bucket, err := blob.OpenBucket(ctx, os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	driver, err := gocloud.New(ctx, bucket, nil)
	if err != nil {
		log.Fatal(err)
	}
	store, err := storage.New(ctx, driver, nil)
	if err != nil {
		log.Fatal(err)
	}
	reg, err := registry.New(store, nil)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:5000", reg))
}
