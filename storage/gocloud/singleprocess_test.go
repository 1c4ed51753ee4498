package gocloud_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"

	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/gocloud"
)

// TestCollectNeedsExclusiveOnFiles: a collection of a bucket on files requires
// CollectOptions.Exclusive, because other processes may use the files. A bucket in memory belongs
// to one process and does not require it.
func TestCollectNeedsExclusiveOnFiles(t *testing.T) {
	files, err := fileblob.OpenBucket(t.TempDir(), &fileblob.Options{NoTempDir: true,
		Metadata: fileblob.MetadataDontWrite})
	require.NoError(t, err)
	d, err := gocloud.New(t.Context(), files, nil)
	require.NoError(t, err)
	s, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	_, err = s.Collect(t.Context(), nil)
	require.ErrorIs(t, err, storage.ErrSingleProcess)
	_, err = s.Collect(t.Context(), &storage.CollectOptions{Exclusive: true})
	require.NoError(t, err)

	d, err = gocloud.New(t.Context(), memblob.OpenBucket(nil), nil)
	require.NoError(t, err)
	s, err = storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	_, err = s.Collect(t.Context(), nil)
	require.NoError(t, err)
}
