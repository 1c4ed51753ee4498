package storage_test

import (
	"bytes"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
)

// TestFullStorageDropsUnrecordedChunk checks that a chunk is dropped if it fits but its record
// does not, and that an upload can be cancelled while nothing can be written.
func TestFullStorageDropsUnrecordedChunk(t *testing.T) {
	driver := newBounded(t, 100_000)
	s := newStore(t, driver, nil)
	u, err := s.CreateUpload(t.Context(), "r", nil)
	require.NoError(t, err)
	_, err = u.Append(t.Context(), 0, -1, bytes.NewReader(random(1, 50_000)))
	require.NoError(t, err)
	free := 100_000 - used(t, driver)
	_, err = u.Append(t.Context(), 50_000, -1, bytes.NewReader(random(2, int(free))))
	require.ErrorIs(t, err, registry.ErrNoSpace)
	require.Len(t, keys(t, driver, "data/"), 1)
	require.EqualValues(t, 50_000, u.Size())
	_, err = driver.Put(t.Context(), "fill", bytes.NewReader(make([]byte, free)), nil)
	require.NoError(t, err)
	require.NoError(t, u.Cancel(t.Context()))
	require.Empty(t, keys(t, driver, "data/"))
}

// TestFullStorageRefusesPushes fills the storage. Pushes are refused with ErrNoSpace, existing
// content stays, and a delete makes room again.
func TestFullStorageRefusesPushes(t *testing.T) {
	for _, n := range []int64{1, 200, 10_000, 60_000, 90_000} {
		driver := newBounded(t, 100_000)
		s := newStore(t, driver, nil)
		kept := pushBlob(t, s, "r", random(1, 1000))
		_, err := driver.Put(t.Context(), "fill", bytes.NewReader(make([]byte, 100_000-used(t, driver)-n)), nil)
		require.NoError(t, err)
		_, err = tryBlob(t.Context(), s, "r", random(2, 95_000))
		require.ErrorIs(t, err, registry.ErrNoSpace)
		_, err = s.PutManifest(t.Context(), "r", ocispec.MediaTypeImageManifest,
			image(strings.Repeat("x", int(n)), nil, kept), tags("v1"))
		require.ErrorIs(t, err, registry.ErrNoSpace)
		got, err := readBlob(t.Context(), s, "r", kept.Digest)
		require.NoError(t, err)
		require.Equal(t, random(1, 1000), got)
		require.NoError(t, driver.Delete(t.Context(), "fill", ""))
		pushBlob(t, s, "r", random(2, 50_000))
	}
}

// TestFullStorageWithoutReserveFails checks that without a reserve a write fails if the storage
// has no room.
func TestFullStorageWithoutReserveFails(t *testing.T) {
	d := newBounded(t, 1<<20)
	s := newStore(t, d, nil)
	pushBlob(t, s, "r", random(1, 100_000))
	fill(t, d)
	_, err := s.Collect(t.Context(), noGrace)
	require.ErrorIs(t, err, registry.ErrNoSpace)
}
