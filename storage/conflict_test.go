package storage_test

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// TestPushManifestDeletedBeforeTagIsRefused deletes the manifest, and what it names, right
// before its tag is written. The push is refused and leaves nothing.
func TestPushManifestDeletedBeforeTagIsRefused(t *testing.T) {
	var content []byte
	var config ocispec.Descriptor
	s := once(t, func(c drivertest.Call) bool { return c.Op == "Put" && strings.Contains(c.Key, "/t/v1") },
		func(s *storage.Store) {
			require.NoError(t, s.DeleteManifest(t.Context(), "r", byDigest(digest.FromBytes(content)), nil))
			require.NoError(t, s.DeleteBlob(t.Context(), "r", config.Digest, nil))
		})
	config = pushBlob(t, s, "r", []byte("{}"))
	content = image("", &config, config)
	_, err := s.PutManifest(t.Context(), "r", ocispec.MediaTypeImageManifest, content, tags("v1"))
	require.ErrorIs(t, err, registry.ErrManifestBlobUnknown)
	_, err = s.StatManifest(t.Context(), "r", byTag("v1"), nil)
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
	require.Empty(t, collect(t, s.Tags(t.Context(), "r", nil)))
	require.Empty(t, collect(t, s.Referrers(t.Context(), "r", config.Digest, nil)))
}

// TestDeleteBesidePushKeepsPush pushes a manifest and its tag again before each operation of
// their delete in turn. What the push has acknowledged stays.
func TestDeleteBesidePushKeepsPush(t *testing.T) {
	for n := 1; ; n++ {
		var content []byte
		var config, desc ocispec.Descriptor
		s, nested := nest(t, n, func(s *storage.Store) {
			config = pushBlob(t, s, "r", []byte("{}"))
			content = image("", &config, config)
			desc = putImage(t, s, "r", content, tags("v1", "v2"))
		}, func(s *storage.Store) {
			require.NoError(t, s.DeleteManifest(t.Context(), "r", byDigest(desc.Digest), nil))
		}, func(s *storage.Store) {
			putImage(t, s, "r", content, &registry.PutOptions{Tags: []registry.TagPut{{Name: "v1", IfAbsent: true}}})
		})
		if !nested {
			require.Greater(t, n, 8)
			_, err := s.StatManifest(t.Context(), "r", byTag("v1"), nil)
			require.ErrorIs(t, err, registry.ErrManifestUnknown)
			return
		}
		m, err := s.GetManifest(t.Context(), "r", byDigest(desc.Digest))
		if err != nil { // the push came first, and its manifest was deleted
			require.ErrorIs(t, err, registry.ErrManifestUnknown)
			require.Empty(t, collect(t, s.Tags(t.Context(), "r", nil)), "operation %d", n)
			require.Empty(t, collect(t, s.Referrers(t.Context(), "r", config.Digest, nil)))
			continue
		}
		require.Equal(t, content, m.Content)
		require.Contains(t, collect(t, s.Tags(t.Context(), "r", nil)), "v1", "operation %d", n)
		require.Len(t, collect(t, s.Referrers(t.Context(), "r", config.Digest, nil)), 1, "operation %d", n)
	}
}
