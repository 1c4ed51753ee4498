package storage_test

import (
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
)

// TestDeleteIfUnusedBesidePush runs a whole push of a manifest before each operation of a delete
// of what it names, and the other way round. They never both succeed.
func TestDeleteIfUnusedBesidePush(t *testing.T) {
	for _, pushFirst := range []bool{false, true} {
		for n := 1; ; n++ {
			var blob ocispec.Descriptor
			var pushed, removed error
			push := func(s *storage.Store) {
				_, pushed = s.PutManifest(t.Context(), "r", ocispec.MediaTypeImageManifest, image("", nil, blob), nil)
			}
			remove := func(s *storage.Store) {
				removed = s.DeleteBlob(t.Context(), "r", blob.Digest, &registry.DeleteOptions{IfUnused: true})
			}
			outer, inner := push, remove
			if !pushFirst {
				outer, inner = remove, push
			}
			prepare := func(s *storage.Store) { blob = pushBlob(t, s, "r", []byte("{}")) }
			s, nested := nest(t, n, prepare, outer, inner)
			if !nested {
				require.Greater(t, n, 4)
				break
			}
			_, err := s.StatBlob(t.Context(), "r", blob.Digest, nil)
			if pushed == nil {
				require.ErrorIs(t, removed, registry.ErrDenied, "push first %v, operation %d", pushFirst, n)
				require.NoError(t, err)
				continue
			}
			require.ErrorIs(t, pushed, registry.ErrManifestBlobUnknown)
			if removed == nil {
				require.ErrorIs(t, err, registry.ErrBlobUnknown)
			} else {
				require.ErrorIs(t, removed, registry.ErrDenied, "the push of the manifest had begun")
			}
		}
	}
}

// TestDeleteIfUnusedLeavesNoMark checks that a refused delete leaves the link live.
func TestDeleteIfUnusedLeavesNoMark(t *testing.T) {
	driver := newMemory(t)
	s := newStore(t, driver, nil)
	blob := pushBlob(t, s, "r", []byte("{}"))
	putImage(t, s, "r", image("", nil, blob), nil)
	require.ErrorIs(t, s.DeleteBlob(t.Context(), "r", blob.Digest, &registry.DeleteOptions{IfUnused: true}),
		registry.ErrDenied)
	for _, key := range keys(t, driver, "r/r/b/") {
		r, _, err := driver.Open(t.Context(), key, nil)
		require.NoError(t, err)
		b := make([]byte, 20)
		_, err = r.Read(b)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		require.Contains(t, string(b), `"live"`)
	}
}
