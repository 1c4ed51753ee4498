package maintenance

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// TestQuotaCost pushes small images to MinIO, with and without a quota in turns, and counts the requests
// to it. A quota adds at most two for each blob and manifest.
func TestQuotaCost(t *testing.T) {
	store := harness.NewMinIO(t)
	proxy, err := harness.NewStoreProxy(store.Addr)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, proxy.Close()) })
	limits := write(t, "quota.yaml", "limits:\n- {prefix: team, max: {bytes: 1TiB, manifests: 1000000}}\n")
	s := harness.New(t, harness.Options{Kind: harness.Ours, Bucket: store, BucketAddr: proxy.Addr,
		Args: []string{"-quota", limits, "-collect-every", "0", "-log-level", "warn"},
		Log:  filepath.Join(t.TempDir(), "log")})
	const blobs, workers = 3, 8
	push := func(prefix string, from, to int) time.Duration {
		c, began := harness.NewClient(s.URL()), time.Now()
		g, ctx := errgroup.WithContext(t.Context())
		g.SetLimit(workers)
		for n := from; n < to; n++ {
			g.Go(func() error {
				repo, content := fmt.Sprintf("%s/app-%d", prefix, n%workers), make([][]byte, blobs)
				for i := range content {
					content[i] = harness.RandomBytes(uint64(len(prefix)*1_000_000+n*blobs+i), 4<<10)
					if _, err := c.PushBlob(ctx, repo, content[i]); err != nil {
						return err
					}
				}
				return c.PutManifest(ctx, repo, fmt.Sprint("v", n), imagespec.MediaTypeImageManifest,
					harness.Manifest(fmt.Sprint(prefix, n), content...))
			})
		}
		require.NoError(t, g.Wait())
		return time.Since(began)
	}
	prefixes := []string{"plain", "team"}
	for _, prefix := range prefixes {
		require.Eventually(t, func() bool { // a push waits for the first count for a limited time
			_, err := harness.NewClient(s.URL()).PushBlob(t.Context(), prefix+"/app-0", []byte("first"))
			return err == nil
		}, 2*time.Minute, time.Second)
		push(prefix, 0, workers) // makes the repositories
	}
	proxy.Take()
	turns, images := size(1, 5), size(8, 40)
	took, requests := map[string]time.Duration{}, map[string]float64{}
	for turn := range turns {
		for _, prefix := range prefixes {
			took[prefix] += push(prefix, workers+turn*images, workers+(turn+1)*images)
			requests[prefix] += float64(proxy.Take().Besides())
		}
	}
	all := float64(turns * images)
	for _, prefix := range prefixes {
		t.Logf("%s: %.1f images a second, %.1f requests for each", prefix, all/took[prefix].Seconds(), requests[prefix]/all)
	}
	require.LessOrEqual(t, requests["team"]/all, requests["plain"]/all+2*(blobs+1)+1)
}
