package storage_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// TestPowerLossTruncatedObjectsAreNotServed cuts short each object in turn, as a loss of power does to what nobody has been
// promised yet. It is never served as if it were whole, and pushing again mends it.
func TestPowerLossTruncatedObjectsAreNotServed(t *testing.T) {
	small, big := []byte("{}"), random(1, 40_000)
	push := func(s *storage.Store) []byte {
		content := image("torn", nil, pushBlob(t, s, "r", small), pushBlob(t, s, "r", big))
		putImage(t, s, "r", content, tags("v1"))
		return content
	}
	prototype := newMemory(t)
	content := push(newStore(t, prototype, nil))
	for info, err := range prototype.List(t.Context(), "", nil) {
		require.NoError(t, err)
		if info.Key == "layout" || strings.HasPrefix(info.Key, "keys/") || strings.HasPrefix(info.Key, "data/") ||
			info.Size == 0 {
			continue // synced before anything else, or, for data, before a link is live
		}
		for _, size := range []int64{0, 1, info.Size / 2, info.Size - 1} {
			driver := newMemory(t)
			s := newStore(t, driver, nil)
			push(s)
			tear(t, driver, info.Key, size)
			for _, b := range [][]byte{small, big} {
				got, err := readBlob(t.Context(), s, "r", digest.FromBytes(b))
				if err != nil {
					require.ErrorIs(t, err, registry.ErrBlobUnknown, info.Key)
					continue
				}
				require.True(t, bytes.Equal(b, got), "%s cut to %d", info.Key, size)
			}
			for _, ref := range []string{"v1", string(digest.FromBytes(content))} {
				r := byTag(ref)
				if ref != "v1" {
					r = byDigest(digest.Digest(ref))
				}
				m, err := s.GetManifest(t.Context(), "r", r)
				if err != nil {
					require.ErrorIs(t, err, registry.ErrManifestUnknown, info.Key)
					continue
				}
				require.Equal(t, content, m.Content)
			}
			push(s)
			m, err := s.GetManifest(t.Context(), "r", byTag("v1"))
			require.NoError(t, err)
			require.Equal(t, content, m.Content)
			got, err := readBlob(t.Context(), s, "r", digest.FromBytes(big))
			require.NoError(t, err)
			require.True(t, bytes.Equal(big, got))
		}
	}
}

// tear cuts an object to size bytes.
func tear(t *testing.T, d driver.Driver, key string, size int64) {
	r, _, err := d.Open(t.Context(), key, nil)
	require.NoError(t, err, key)
	b, err := io.ReadAll(io.LimitReader(r, size))
	require.NoError(t, err)
	require.NoError(t, r.Close())
	_, err = d.Put(t.Context(), key, bytes.NewReader(b), nil)
	require.NoError(t, err)
}

// TestDamagedDataFailsRead damages data that were acknowledged, as a failing disk does: the reader is told.
func TestDamagedDataFailsRead(t *testing.T) {
	big := random(1, 40_000)
	for _, size := range []int64{0, 1, 39_999} {
		driver := newMemory(t)
		s := newStore(t, driver, nil)
		desc := pushBlob(t, s, "r", big)
		tear(t, driver, keys(t, driver, "data/")[0], size)
		_, err := readBlob(t.Context(), s, "r", desc.Digest)
		require.Error(t, err)
		require.NotErrorIs(t, err, registry.ErrBlobUnknown)
	}
}

// TestFullStorageRefusesPushes fills the storage. Pushes are refused with the error that says so; what is there
// stays, and there is room again after a delete.
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
