package storage_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// TestPushManifestDeletedBeforeTagIsRefused deletes the manifest, and what it names, right before its tag is
// written. The push is refused, and leaves nothing.
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

// TestDeleteBesidePushKeepsPush pushes a manifest and its tag again while it is being deleted, before
// each operation of the delete in turn. What the push was told stays.
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

// TestFullStorageDropsUnrecordedChunk: a chunk that fits while its record does not is dropped, and an
// upload can be cancelled though nothing can be written.
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

// TestPushRepairsLostData: data that a disk has lost come back when the blob is pushed again, and are
// not shared meanwhile.
func TestPushRepairsLostData(t *testing.T) {
	driver := newMemory(t)
	s := newStore(t, driver, nil)
	content := random(1, 50_000)
	desc := pushBlob(t, s, "r", content)
	require.NoError(t, driver.Delete(t.Context(), keys(t, driver, "data/")[0], ""))
	for _, repo := range []string{"other", "r"} {
		pushBlob(t, s, repo, content)
		got, err := readBlob(t.Context(), s, repo, desc.Digest)
		require.NoError(t, err)
		require.Equal(t, content, got)
	}
}

// TestDeleteAfterInterruptedDelete lets a delete of a manifest die after each of its writes. Another
// takes all that is left, also what led to the manifest: when the manifest is pushed again, no tag
// is there with it.
func TestDeleteAfterInterruptedDelete(t *testing.T) {
	for n := 0; ; n++ {
		driver := newMemory(t)
		s := newStore(t, driver, nil)
		config := pushBlob(t, s, "r", []byte("{}"))
		content := image("", &config, config)
		desc := putImage(t, s, "r", content, tags("v1", "v2", "v3"))
		faulty := drivertest.NewFaulty(driver, nil)
		dying := newStore(t, faulty, nil)
		faulty.CutAfter(n)
		if err := dying.DeleteManifest(t.Context(), "r", byDigest(desc.Digest), nil); err == nil {
			require.Greater(t, n, 8)
			return
		}
		err := s.DeleteManifest(t.Context(), "r", byDigest(desc.Digest), nil)
		if err != nil {
			require.ErrorIs(t, err, registry.ErrManifestUnknown)
		}
		putImage(t, s, "r", content, nil)
		require.Empty(t, collect(t, s.Tags(t.Context(), "r", nil)), "after write %d", n)
	}
}
