package gcs_test

import (
	"context"
	"fmt"
	"log"
	"time"

	cloud "cloud.google.com/go/storage"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/gcp"

	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/gcs"
)

// The client of the bucket uses the credentials of the environment, or a key of its own as here,
// which also signs URLs.
func ExampleProvider() {
	ctx := context.Background()
	client := gcp.NewAnonymousHTTPClient(gcp.DefaultTransport()) // or gcp.NewHTTPClient with credentials
	bucket, err := gcsblob.OpenBucket(ctx, client, "images", &gcsblob.Options{
		GoogleAccessID: "registry@project.iam.gserviceaccount.com",
		SignBytes:      func([]byte) ([]byte, error) { return []byte("signature"), nil },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer bucket.Close()
	driver, err := gocloud.New(ctx, bucket, &gocloud.Options{
		Prefix: "registry/",
		Providers: []gocloud.Provider{gcs.Provider(&gcs.Options{
			Writer: func(w *cloud.Writer) { w.StorageClass = "STANDARD" },
		})},
	})
	if err != nil {
		log.Fatal(err)
	}
	url, err := driver.SignedURL(ctx, "dir/key", time.Hour)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(url[:55])
	// Output:
	// https://storage.googleapis.com/images/registry/dir/key?
}
