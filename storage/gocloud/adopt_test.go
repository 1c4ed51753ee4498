package gocloud_test

import (
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/gocloud"
)

// TestAdoptCopiesWithinBucket: a store on the network copies an object of the same bucket. Anything else
// is refused, and the caller copies the bytes.
func TestAdoptCopiesWithinBucket(t *testing.T) {
	onBuckets(t, func(t *testing.T, kind bucket) {
		b := kind.open(t)
		defer func() { require.NoError(t, b.Close()) }()
		d := kind.on(t, b, nil)
		const content = "bytes of another registry"
		require.NoError(t, b.WriteAll(t.Context(), "old/data", []byte(content), nil))
		source := gocloud.Object{Bucket: b, Name: "old/data", Size: int64(len(content))}
		if kind.providers == nil {
			_, _, err := d.Adopt(t.Context(), "data/key", source, nil)
			require.ErrorIs(t, err, errors.ErrUnsupported)
			return
		}
		_, how, err := d.Adopt(t.Context(), "data/key", source, &driver.AdoptOptions{DryRun: true})
		require.NoError(t, err)
		require.Equal(t, driver.Copied, how)
		_, err = d.Stat(t.Context(), "data/key")
		require.ErrorIs(t, err, driver.ErrNotExist)

		info, _, err := d.Adopt(t.Context(), "data/key", source, nil)
		require.NoError(t, err)
		require.EqualValues(t, len(content), info.Size)
		require.NoError(t, b.Delete(t.Context(), "old/data"))
		r, now, err := d.Open(t.Context(), "data/key", nil)
		require.NoError(t, err)
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		require.Equal(t, content, string(got))
		require.Equal(t, info.Version, now.Version)

		_, _, err = d.Adopt(t.Context(), "data/key", source, nil)
		require.ErrorIs(t, err, driver.ErrExist)
		_, _, err = d.Adopt(t.Context(), "data/none", source, nil)
		require.Error(t, err)
		large := source
		large.Size = gocloud.MaxCopySize + 1
		for _, s := range []any{large, "text", gocloud.Object{Name: "old/data"}} {
			_, _, err = d.Adopt(t.Context(), "data/other", s, nil)
			require.ErrorIs(t, err, errors.ErrUnsupported)
		}
	})
}
