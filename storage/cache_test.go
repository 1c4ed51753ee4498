package storage_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
)

// TestCheckFindsDamageUnderAKnownVersion: bytes on a disk decay without a new version. A check
// reads them, although the Store knows the record.
func TestCheckFindsDamageUnderAKnownVersion(t *testing.T) {
	dir := t.TempDir()
	d, err := disk.New(dir, nil)
	require.NoError(t, err)
	s := newStore(t, d, nil)
	config := pushBlob(t, s, "r", []byte("config"))
	m := putImage(t, s, "r", image("the right bytes", nil, config), nil)
	got, err := s.GetManifest(t.Context(), "r", reference.Ref{Digest: m.Digest})
	require.NoError(t, err)
	decay(t, filepath.Join(dir, "objects"), []byte("the right bytes"), []byte("the wrong bytes"))

	again, err := s.GetManifest(t.Context(), "r", reference.Ref{Digest: m.Digest})
	require.NoError(t, err)
	require.Equal(t, got.Content, again.Content)
	var found []storage.Damage
	c, err := s.Check(&storage.CheckOptions{
		Settle: -1, Repair: true, Found: func(d storage.Damage) { found = append(found, d) },
	})
	require.NoError(t, err)
	require.NoError(t, c.Repository(t.Context(), "r"))
	require.Len(t, found, 1)
	require.Equal(t, storage.CorruptManifest, found[0].Kind)
	_, err = s.GetManifest(t.Context(), "r", reference.Ref{Digest: m.Digest})
	require.ErrorIs(t, err, registry.ErrManifestUnknown, "it is in quarantine")
}

// decay replaces bytes of the one file below dir that has them, and keeps its time.
func decay(t *testing.T, dir string, from, to []byte) {
	t.Helper()
	files := 0
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(b, from) {
			return err
		}
		files++
		before, err := e.Info()
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, bytes.Replace(b, from, to, 1), 0o600))
		return os.Chtimes(path, before.ModTime(), before.ModTime())
	}))
	require.Equal(t, 1, files)
}

// TestTwoStoresOnOneDirectory: what one process deletes or moves, another one that has just served
// it does not serve any more.
func TestTwoStoresOnOneDirectory(t *testing.T) {
	dir := t.TempDir()
	stores := make([]*storage.Store, 2)
	for i := range stores {
		d, err := disk.New(dir, nil)
		require.NoError(t, err)
		stores[i] = newStore(t, d, nil)
	}
	mine, theirs := stores[0], stores[1]
	config := pushBlob(t, mine, "r", []byte("config"))
	v1 := &registry.PutOptions{Tags: []registry.TagPut{{Name: "v1"}}}
	first := putImage(t, mine, "r", image("first", nil, config), v1)
	for range 2 { // the second read finds everything in the cache
		requireServed(t, mine, "r", "v1", first.Digest, config.Digest)
		requireServed(t, theirs, "r", "v1", first.Digest, config.Digest)
	}

	second := putImage(t, theirs, "r", image("second", nil, config), v1)
	requireServed(t, mine, "r", "v1", second.Digest, config.Digest)
	err := theirs.DeleteManifest(t.Context(), "r", reference.Ref{Digest: second.Digest}, nil)
	require.NoError(t, err)
	for _, ref := range []reference.Ref{{Tag: "v1"}, {Digest: second.Digest}} {
		_, err = mine.GetManifest(t.Context(), "r", ref)
		require.ErrorIs(t, err, registry.ErrManifestUnknown)
		_, err = mine.StatManifest(t.Context(), "r", ref, nil)
		require.ErrorIs(t, err, registry.ErrManifestUnknown)
	}
	require.NoError(t, theirs.DeleteBlob(t.Context(), "r", config.Digest, nil))
	_, err = mine.StatBlob(t.Context(), "r", config.Digest, nil)
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
	_, err = mine.OpenBlob(t.Context(), "r", config.Digest, nil)
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
}

// requireServed requires that a Store serves a manifest by its tag and digest, and a blob.
func requireServed(t *testing.T, s *storage.Store, repo, tag string, m, blob digest.Digest) {
	t.Helper()
	for _, ref := range []reference.Ref{{Tag: tag}, {Digest: m}} {
		got, err := s.GetManifest(t.Context(), repo, ref)
		require.NoError(t, err)
		require.Equal(t, m, got.Descriptor.Digest)
		require.Equal(t, m, digest.FromBytes(got.Content))
		desc, err := s.StatManifest(t.Context(), repo, ref, nil)
		require.NoError(t, err)
		require.Equal(t, m, desc.Digest)
	}
	content, err := readBlob(t.Context(), s, repo, blob)
	require.NoError(t, err)
	require.Equal(t, blob, digest.FromBytes(content))
}
