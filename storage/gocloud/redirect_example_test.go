package gocloud_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"

	"gocloud.dev/blob/fileblob"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/gocloud"
)

// With RedirectOptions, clients fetch large blobs from the bucket by a signed URL, so the registry
// does not send their bytes. For a network store, the URL points to the store. Here the bucket is a
// directory, and another server would serve its files at files.example.
func Example_redirect() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	base := &url.URL{Scheme: "https", Host: "files.example", Path: "/get"}
	bucket, err := fileblob.OpenBucket(dir, &fileblob.Options{
		NoTempDir: true, Metadata: fileblob.MetadataDontWrite,
		URLSigner: fileblob.NewURLSignerHMAC(base, []byte("secret key")),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer bucket.Close()
	ctx := context.Background()
	driver, err := gocloud.New(ctx, bucket, nil)
	if err != nil {
		log.Fatal(err)
	}
	store, err := storage.New(ctx, driver, &storage.Options{
		Redirect: &storage.RedirectOptions{MinSize: 100_000}, // bytes
	})
	if err != nil {
		log.Fatal(err)
	}
	reg, err := registry.New(store, nil)
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(reg)
	defer server.Close()

	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, size := range []int{50_000, 100_000} {
		layer, err := registry.PushBlob(ctx, store, "fruit", "", bytes.NewReader(make([]byte, size)))
		if err != nil {
			log.Fatal(err)
		}
		resp, err := client.Get(server.URL + "/v2/fruit/blobs/" + layer.Digest.String())
		if err != nil {
			log.Fatal(err)
		}
		resp.Body.Close()
		location, err := resp.Location()
		if err != nil {
			fmt.Println(size, resp.StatusCode)
			continue
		}
		fmt.Println(size, resp.StatusCode, location.Host)
	}
	// Output:
	// 50000 200
	// 100000 307 files.example
}
