// Cloud is a registry on a bucket, as one program. It takes the flags of examples/server, but that
// -storage is a URL:
//
//	go run ./examples/cloud -storage 's3://BUCKET?region=eu-central-1'
//	go run ./examples/cloud -storage 'gs://BUCKET?prefix=registry/'
//	go run ./examples/cloud -storage 'azblob://CONTAINER'
//
// Credentials come from where each cloud's own tools look for them; see docs/storage-*.md. Any
// number of these processes may serve one bucket.
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
		"size of the parts of an upload in `MiB`, 5 to 4000; each upload holds one in memory")
	most := flag.Int("max-parts", gocloud.DefaultMaxParts,
		"maximum `number` of parts of an object, where the store takes fewer; a larger blob goes on in a further object")
	serve.Main(serve.Storage{
		Usage: "`URL` of the bucket: s3://, gs://, azblob://, file:// or mem://, with the parameters that gocloud.dev knows, and prefix=",
		Open: func(ctx context.Context, name string) (driver.Driver, error) {
			if *size < 5 || *size > 4000 { // before it overflows
				return nil, fmt.Errorf("-part-size %d is not between 5 and 4000", *size)
			}
			if *most < 1 { // 0 would be the default
				return nil, fmt.Errorf("-max-parts %d is not between 1 and %d", *most, gocloud.DefaultMaxParts)
			}
			return open(ctx, name, gocloud.Parts{Size: *size << 20, Max: *most})
		},
	})
}

// checksums is a parameter of s3blob.
const checksums = "response_checksum_validation"

// open returns a driver on the bucket at a URL. The prefix is the driver's affair and not
// gocloud.dev's: conditional writes are asked for by whole names.
func open(ctx context.Context, name string, parts gocloud.Parts) (driver.Driver, error) {
	u, err := url.Parse(name)
	if err != nil {
		return nil, fmt.Errorf("-storage: %w", err)
	}
	// gocloud.dev ignores the path, and whoever gives one expects the registry below it.
	if path := strings.Trim(u.Path, "/"); path != "" && u.Scheme != "file" {
		return nil, fmt.Errorf("-storage: the path %q is not part of the name of a bucket; did you mean prefix=%s/?",
			u.Path, path)
	}
	q := u.Query()
	prefix := q.Get("prefix")
	q.Del("prefix")
	// Else the SDK writes a warning to stderr for each read of an object of several parts, whose
	// checksum it cannot compare. Clients compare digests.
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

// ownedBucket is a driver together with its bucket, which is closed with it.
type ownedBucket struct {
	*gocloud.Driver
	bucket *blob.Bucket
}

func (d ownedBucket) Close() error { return d.bucket.Close() }
