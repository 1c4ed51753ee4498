package maintenance

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/e2e/cloud/kits"
	"github.com/registrykit/registry/internal/e2e/harness"
)

// TestImportBucket imports what another registry has written to MinIO: into the same bucket, which then
// copies the layers by itself, and into another bucket, for which the program reads and writes them. It
// also imports from a directory into a bucket.
func TestImportBucket(t *testing.T) {
	for name, kind := range writers() {
		t.Run(name, func(t *testing.T) {
			from := harness.NewMinIO(t)
			kits.Setenv(t, from.Env())
			proxy, err := harness.NewStoreProxy(from.Addr)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, proxy.Close()) })
			other := *from
			other.Bucket = "other"
			_, err = from.Client("").CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(other.Bucket)})
			require.NoError(t, err)

			dir := filepath.Join(t.TempDir(), "old")
			inBucket := harness.New(t, harness.Options{Kind: kind, Bucket: from, Log: filepath.Join(t.TempDir(), "log")})
			inDir := harness.New(t, harness.Options{Kind: kind, Storage: dir, Log: filepath.Join(t.TempDir(), "log")})
			sh := shape{repos: size(1, 10), tags: size(2, 10), layers: 2, layer: 1 << 20}
			var bytes int64
			for _, old := range []*harness.Server{inBucket, inDir} {
				bytes = fill(t, old, sh)
				attach(t, old, "team/app-00", "v0")
			}
			for i, row := range []struct {
				name, from, to string
				old            *harness.Server
				copied         bool
			}{
				{"the same bucket", from.URL(proxy.Addr), from.URL(proxy.Addr) + "&prefix=new/", inBucket, true},
				{"another bucket", from.URL(proxy.Addr), other.URL(proxy.Addr) + "&prefix=one/", inBucket, false},
				{"directory to bucket", dir, other.URL(proxy.Addr) + "&prefix=two/", inDir, false},
			} {
				proxy.Take()
				var first, second imported
				succeed(t, &first, "import", "-from", row.from, "-to", row.to)
				requests := proxy.Take()
				push(t, row.old, fmt.Sprint("team/app-00:late", i), "pushed after the import")
				began := time.Now()
				succeed(t, &second, "import", "-from", row.from, "-to", row.to)
				again := time.Since(began)
				seconds := proxy.Take()
				require.EqualValues(t, 1, second.Tags.Set)
				require.Zero(t, first.Damaged+second.Damaged)
				layers := int64(sh.repos * (1 + sh.tags*sh.layers))
				if row.copied {
					require.Equal(t, layers, first.Layers["copied"].Count, row.name)
					require.Less(t, first.moved(), bytes/100, row.name)
				} else {
					require.Zero(t, first.Layers["copied"].Count, row.name)
					require.GreaterOrEqual(t, first.moved(), bytes, row.name)
				}
				fresh := serve(t, row.to)
				tags := requireSame(t, row.old, fresh)
				t.Logf("%s: %s: %d tags, %d MiB: %.1f s, %d MiB copied, %d requests, %d of them copies; the second run: %s, "+
					"%d requests", name, row.name, tags, bytes>>20, first.Seconds, first.moved()>>20, requests.Besides(),
					requests.Copies(), again.Round(time.Millisecond), seconds.Besides())
			}
		})
	}
}
