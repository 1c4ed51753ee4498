package replicate_test

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/replicate"
)

func TestProgressIsMonotoneAndEndsWithTheTotals(t *testing.T) {
	for name, p := range pairs(t) {
		t.Run(name, func(t *testing.T) {
			a, b := registrytest.RandomImage(1, 4, 300_000), registrytest.RandomImage(3, 4, 300_000)
			push(t, p.src, "r", registrytest.Index(a, b), "v1")
			push(t, p.src, "r", registrytest.Artifact("x/y", a.Descriptor, nil))
			var last replicate.Progress
			var calls int
			var active atomic.Int32
			res, err := replicate.Copy(t.Context(), p.dst, p.src, "r:v1", &replicate.Options{
				Parallel: 8, Referrers: true,
				Progress: func(now replicate.Progress) {
					require.EqualValues(t, 1, active.Add(1), "one call at a time")
					defer active.Add(-1)
					require.GreaterOrEqual(t, now.Manifests, last.Manifests)
					require.GreaterOrEqual(t, now.ManifestsTotal, last.ManifestsTotal)
					require.GreaterOrEqual(t, now.Blobs, last.Blobs)
					require.GreaterOrEqual(t, now.BlobsTotal, last.BlobsTotal)
					require.GreaterOrEqual(t, now.Bytes, last.Bytes)
					require.GreaterOrEqual(t, now.BytesTotal, last.BytesTotal)
					require.GreaterOrEqual(t, now.Copied, last.Copied)
					require.LessOrEqual(t, now.Bytes, now.BytesTotal)
					require.LessOrEqual(t, now.Blobs, now.BlobsTotal)
					require.LessOrEqual(t, now.Manifests, now.ManifestsTotal)
					last = now
					calls++
				},
			})
			require.NoError(t, err)
			require.Greater(t, calls, 8)
			require.Equal(t, last, res.Progress)
			require.Equal(t, last.ManifestsTotal, last.Manifests)
			require.Equal(t, 4, last.Manifests)
			require.Equal(t, last.BlobsTotal, last.Blobs)
			require.Equal(t, last.BytesTotal, last.Bytes)
			require.Equal(t, last.Bytes, last.Copied+last.Mounted+last.Skipped)
			require.True(t, last.Done)
			require.Equal(t, res.Descriptor.Digest, last.Descriptor.Digest)
		})
	}
}
