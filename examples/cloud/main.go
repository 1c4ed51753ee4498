// Cloud shows a complete registry program on a bucket. Its flags are those of examples/server,
// except that -storage is a URL:
//
//	go run ./examples/cloud -storage 's3://BUCKET?region=eu-central-1'
//	go run ./examples/cloud -storage 'gs://BUCKET?prefix=registry/'
//	go run ./examples/cloud -storage 'azblob://CONTAINER'
//
// Credentials come from the places where each cloud's own tools look for them; see
// docs/storage-*.md. Any number of these processes may serve one bucket.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"strings"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob" // the schemes of -storage
	_ "gocloud.dev/blob/fileblob"
	_ "gocloud.dev/blob/gcsblob"
	_ "gocloud.dev/blob/memblob"
	_ "gocloud.dev/blob/s3blob"

	"github.com/registrykit/registry/examples/internal/serve"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/azure"
	"github.com/registrykit/registry/storage/gocloud/gcs"
	"github.com/registrykit/registry/storage/gocloud/s3"
)

func main() {
	size := flag.Int64("part-size", gocloud.DefaultPartSize>>20,
		"Upload objects in parts of this size in `MiB`, from 5 to 4000. Each upload holds one part in memory.")
	most := flag.Int("max-parts", gocloud.DefaultMaxParts,
		"Use at most this `number` of parts for an object. A larger blob continues in another object. "+
			"Lower it for a store that accepts fewer parts.")
	serve.Main(serve.Storage{
		Usage: "Store everything in the bucket at this `URL`: s3://, gs://, azblob://, file:// or mem://, " +
			"with the parameters of gocloud.dev, and prefix= for a prefix of all keys. Required.",
		Open: func(ctx context.Context, name string) (driver.Driver, error) {
			if *size < 5 || *size > 4000 { // checked here, because the shift below may overflow
				return nil, fmt.Errorf("-part-size %d is not between 5 and 4000", *size)
			}
			if *most < 1 { // in Parts, 0 means the default
				return nil, fmt.Errorf("-max-parts %d is not between 1 and %d", *most, gocloud.DefaultMaxParts)
			}
			return open(ctx, name, gocloud.Parts{Size: *size << 20, Max: *most})
		},
	})
}

// checksums is a parameter of s3blob.
const checksums = "response_checksum_validation"

// open returns a driver on the bucket at a URL. The driver itself adds the prefix to keys:
// gocloud.dev cannot, because conditional writes need complete names.
func open(ctx context.Context, name string, parts gocloud.Parts) (driver.Driver, error) {
	u, err := url.Parse(name)
	if err != nil {
		return nil, fmt.Errorf("-storage: %w", err)
	}
	// gocloud.dev ignores the path, but a user who sets one expects the registry below it.
	if path := strings.Trim(u.Path, "/"); path != "" && u.Scheme != "file" {
		return nil, fmt.Errorf("-storage: a URL of a bucket has no path %q; did you mean prefix=%s/?",
			u.Path, path)
	}
	q := u.Query()
	prefix := q.Get("prefix")
	q.Del("prefix")
	// Otherwise the SDK writes a warning to stderr for each read of an object of several parts,
	// because it cannot verify their checksum. Clients verify digests.
	if u.Scheme == "s3" && !q.Has(checksums) {
		q.Set(checksums, "when_required")
	}
	u.RawQuery = q.Encode()
	bucket, err := blob.OpenBucket(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("-storage: %w", err)
	}
	d, err := gocloud.New(ctx, bucket, &gocloud.Options{
		Prefix:    prefix,
		Parts:     parts,
		Providers: []gocloud.Provider{s3.Provider(nil), gcs.Provider(nil), azure.Provider(nil)},
	})
	if err != nil {
		return nil, errors.Join(err, bucket.Close())
	}
	return ownedBucket{d, bucket}, nil
}

// ownedBucket is a driver that also closes its bucket.
type ownedBucket struct {
	*gocloud.Driver
	bucket *blob.Bucket
}

func (d ownedBucket) Close() error { return d.bucket.Close() }
