// Package bucket opens the buckets that examples/cloud and examples/maintenance use, by their URLs:
// s3://, gs://, azblob://, file:// and mem://.
package bucket

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob" // the schemes
	_ "gocloud.dev/blob/fileblob"
	_ "gocloud.dev/blob/gcsblob"
	_ "gocloud.dev/blob/memblob"
	_ "gocloud.dev/blob/s3blob"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/azure"
	"github.com/registrykit/registry/storage/gocloud/gcs"
	"github.com/registrykit/registry/storage/gocloud/s3"
)

// checksums is a parameter of s3blob.
const checksums = "response_checksum_validation"

// Open returns a driver on the bucket at a URL. The driver closes the bucket when it is closed. The
// URL has the parameters of gocloud.dev, and prefix= for a prefix of all keys. The driver itself adds
// the prefix to keys: gocloud.dev cannot, because conditional writes need complete names.
func Open(ctx context.Context, name string, parts gocloud.Parts) (driver.Driver, error) {
	bucket, prefix, err := OpenBucket(ctx, name)
	if err != nil {
		return nil, err
	}
	d, err := gocloud.New(ctx, bucket, &gocloud.Options{
		Prefix:    prefix,
		Parts:     parts,
		Providers: []gocloud.Provider{s3.Provider(nil), gcs.Provider(nil), azure.Provider(nil)},
	})
	if err != nil {
		return nil, errors.Join(err, bucket.Close())
	}
	return Driver{d, bucket}, nil
}

// OpenBucket opens the bucket at a URL, and returns the value of prefix= of the URL with it.
func OpenBucket(ctx context.Context, name string) (b *blob.Bucket, prefix string, err error) {
	u, err := url.Parse(name)
	if err != nil {
		return nil, "", err
	}
	// gocloud.dev ignores the path, but a user who sets one expects the registry below it.
	if path := strings.Trim(u.Path, "/"); path != "" && u.Scheme != "file" {
		return nil, "", fmt.Errorf("a URL of a bucket has no path %q; did you mean prefix=%s/?", u.Path, path)
	}
	q := u.Query()
	prefix = q.Get("prefix")
	q.Del("prefix")
	// Otherwise the SDK writes a warning to stderr for each read of an object of several parts,
	// because it cannot verify their checksum. Clients verify digests.
	if u.Scheme == "s3" && !q.Has(checksums) {
		q.Set(checksums, "when_required")
	}
	u.RawQuery = q.Encode()
	b, err = blob.OpenBucket(ctx, u.String())
	return b, prefix, err
}

// Driver is a driver that also closes its bucket.
type Driver struct {
	*gocloud.Driver
	// Bucket is the bucket. Further users of it must not close it.
	Bucket *blob.Bucket
}

// Close closes the bucket.
func (d Driver) Close() error { return d.Bucket.Close() }

// Name returns the URL of a bucket without its parameters, which may contain secrets.
func Name(name string) string {
	base, _, _ := strings.Cut(name, "?")
	if i := strings.Index(base, "://"); i >= 0 {
		if at := strings.LastIndexByte(base, '@'); at > i {
			base = base[:i+3] + base[at+1:]
		}
	}
	return base
}
