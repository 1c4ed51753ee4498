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
	"flag"
	"fmt"

	"github.com/registrykit/registry/examples/internal/bucket"
	"github.com/registrykit/registry/examples/internal/serve"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/gocloud"
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
			d, err := bucket.Open(ctx, name, gocloud.Parts{Size: *size << 20, Max: *most})
			if err != nil {
				return nil, fmt.Errorf("-storage: %w", err)
			}
			return d, nil
		},
	})
}
