package storage_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// beforeDelete is a driver that calls a function before its first delete of a key. Like S3, it does
// not tell a missing object from a changed one.
type beforeDelete struct {
	driver.Driver
	key  string
	call func()
}

func (b *beforeDelete) Delete(ctx context.Context, key, version string) error {
	if key == b.key && b.call != nil {
		call := b.call
		b.call = nil
		call()
	}
	err := b.Driver.Delete(ctx, key, version)
	if version != "" && errors.Is(err, driver.ErrNotExist) {
		err = driver.ErrChanged
	}
	return err
}

// TestCollectFasterThanDelete: a collection removes the link that a delete has just marked. The
// delete has succeeded nevertheless, and reports what it has deleted.
func TestCollectFasterThanDelete(t *testing.T) {
	d := newMemory(t)
	other := newStore(t, d, nil)
	blob := pushBlob(t, other, "a", random(1, 20_000))
	hook := &beforeDelete{Driver: d, key: "r/a/b/sha256/" + blob.Digest.Encoded()}
	hook.call = func() { collected(t, other, nil) } // with a grace period, which is no matter here
	var deleted []ocispec.Descriptor
	require.NoError(t, newStore(t, hook, nil).DeleteBlob(t.Context(), "a", blob.Digest, &registry.DeleteOptions{
		Deleted: func(target ocispec.Descriptor, _ []string) { deleted = append(deleted, target) },
	}))
	require.Nil(t, hook.call)
	require.Len(t, deleted, 1)
	require.Equal(t, blob.Digest, deleted[0].Digest)
	require.ErrorIs(t, other.DeleteBlob(t.Context(), "a", blob.Digest, nil), registry.ErrBlobUnknown)
}

// TestCollectFinishesInterruptedDelete interrupts a delete of a repository after each of its
// writes. The next collection finishes the delete, but keeps what was pushed in between.
func TestCollectFinishesInterruptedDelete(t *testing.T) {
	for _, pushed := range []bool{false, true} {
		for n := 0; ; n++ {
			d := newMemory(t)
			s := newStore(t, d, nil)
			w := newWorkload(t.Context(), s)
			require.NoError(t, w.run())
			faulty := drivertest.NewFaulty(d, nil)
			cut := newStore(t, faulty, nil)
			faulty.CutAfter(n)
			err := cut.DeleteRepository(t.Context(), "a/b", nil)
			at := fmt.Sprintf("after write %d, pushed %t", n, pushed)
			var m ocispec.Descriptor
			other := newStore(t, d, nil) // as a process that does not know of the delete
			if pushed {
				m = putImage(t, other, "a/b", image("new", nil, pushBlob(t, other, "a/b", random(9, 20_000))), tags("new"))
			}
			collected(t, other, noGrace)
			switch {
			case pushed:
				got, err := other.GetManifest(t.Context(), "a/b", byTag("new"))
				require.NoError(t, err, at)
				require.Equal(t, m.Digest, got.Descriptor.Digest)
				_, err = readBlob(t.Context(), other, "a/b", digest.FromBytes(random(9, 20_000)))
				require.NoError(t, err, at)
				w.blobs, w.tags, w.uploads, w.byRepo = nil, nil, nil, nil
				w.check(t, other, at) // what is visible is complete
			case n > 0:
				require.Empty(t, keys(t, d, "r/a.~b/"), at)
				require.NotContains(t, keys(t, d, "c/"), "c/a.~b", at)
			}
			if !faulty.Cut() {
				require.NoError(t, err)
				require.Greater(t, n, 8)
				break
			}
		}
	}
}

// TestCollectFinishingDeleteKeepsNewBlobs checks that a push can rely on the blobs that it has
// uploaded since a delete of the repository died.
func TestCollectFinishingDeleteKeepsNewBlobs(t *testing.T) {
	for _, opts := range []*storage.Options{nil, {History: time.Hour}} {
		driver := newMemory(t)
		s := newStore(t, driver, opts)
		old := pushBlob(t, s, "r", random(1, 50_000))
		putImage(t, s, "r", image("old", nil, old), tags("t"))
		faulty := drivertest.NewFaulty(driver, nil)
		dying := newStore(t, faulty, opts)
		faulty.CutAfter(3)
		require.Error(t, dying.DeleteRepository(t.Context(), "r", nil))

		config, layer := pushBlob(t, s, "r", []byte("{}")), pushBlob(t, s, "r", random(2, 50_000))
		for range 2 {
			collected(t, s, nil)
		}
		_, err := s.StatBlob(t.Context(), "r", old.Digest, nil)
		require.ErrorIs(t, err, registry.ErrBlobUnknown)
		_, err = s.GetManifest(t.Context(), "r", byTag("t"))
		require.ErrorIs(t, err, registry.ErrManifestUnknown)
		putImage(t, s, "r", image("new", nil, config, layer), nil)
	}
}

// TestCollectFinishingDeleteKeepsNewManifest pushes before each call of a collection that
// finishes an interrupted delete of the repository. The push is of a new manifest, or again of
// the old one. In both cases, what was pushed stays.
func TestCollectFinishingDeleteKeepsNewManifest(t *testing.T) {
	for _, opts := range []*registry.PutOptions{nil, tags("t")} {
		for _, annotation := range []string{"old", "new"} {
			for n := 1; ; n++ {
				driver := newMemory(t)
				s := newStore(t, driver, nil)
				config := pushBlob(t, s, "r", []byte("{}"))
				putImage(t, s, "r", image("old", nil, config), tags("t"))
				faulty := drivertest.NewFaulty(driver, nil)
				dying := newStore(t, faulty, nil)
				faulty.CutAfter(1)
				require.Error(t, dying.DeleteRepository(t.Context(), "r", nil))

				var desc ocispec.Descriptor
				pushing := beforeCall(t, driver, nil, n, func(s *storage.Store) {
					desc = putImage(t, s, "r", image(annotation, nil, pushBlob(t, s, "r", []byte("{}"))), opts)
				})
				collected(t, pushing, noGrace)
				if desc.Digest == "" { // the collection has fewer calls
					require.Greater(t, n, 20)
					break
				}
				for range 2 {
					_, err := s.GetManifest(t.Context(), "r", byDigest(desc.Digest))
					require.NoError(t, err, "call %d", n)
					_, err = readBlob(t.Context(), s, "r", config.Digest)
					require.NoError(t, err, "call %d", n)
					if opts != nil {
						_, err = s.GetManifest(t.Context(), "r", byTag("t"))
						require.NoError(t, err, "call %d", n)
					}
					collected(t, s, noGrace)
				}
			}
		}
	}
}

// TestCollectFinishingDeleteEndsWithItsContext checks that a collection that finishes the delete
// of a repository ends with its context, and that the next collection continues.
func TestCollectFinishingDeleteEndsWithItsContext(t *testing.T) {
	for _, opts := range []*storage.Options{nil, withHistory} {
		driver := newMemory(t)
		s := newStore(t, driver, opts)
		config := pushBlob(t, s, "r", []byte("{}"))
		for i := range 20 {
			putImage(t, s, "r", image(fmt.Sprint(i), nil, config), tags(fmt.Sprint("v", i)))
		}
		faulty := drivertest.NewFaulty(driver, nil)
		dying := newStore(t, faulty, opts)
		faulty.CutAfter(3)
		require.Error(t, dying.DeleteRepository(t.Context(), "r", nil))
		for range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			removed := 0
			_, err := newStore(t, drivertest.NewFaulty(driver,
				&drivertest.FaultyOptions{After: func(_ context.Context, c drivertest.Call, err error) error {
					if c.Op == "Delete" && strings.HasPrefix(c.Key, "r/r/m/") && err == nil {
						removed++
						cancel()
					}
					return err
				}}), opts).Collect(ctx, nil)
			cancel()
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, 1, removed)
		}
		require.NotEmpty(t, collect(t, s.Repositories(t.Context(), nil)))
		collected(t, s, nil)
		require.Empty(t, collect(t, s.Repositories(t.Context(), nil)))
		require.Empty(t, keys(t, driver, "r/r/m/"))
		if opts != nil {
			_, err := s.Restore(t.Context(), "r", reference.Ref{}, nil)
			require.NoError(t, err)
			require.Len(t, collect(t, s.Tags(t.Context(), "r", nil)), 20)
		}
	}
}

// TestDeleteRepositoryBesideCollectIsRestorable collects before each call of the delete of a
// repository that has a history. Afterwards no blob of the repository is served, and a restore
// brings everything back.
func TestDeleteRepositoryBesideCollectIsRestorable(t *testing.T) {
	for _, opts := range []*storage.Options{nil, {History: time.Hour}} {
		for n := 1; ; n++ {
			driver := newMemory(t)
			other := newStore(t, driver, opts)
			ran := false
			s := beforeCall(t, driver, opts, n, func(s *storage.Store) {
				ran = true
				collected(t, s, noGrace)
			})
			config, layer := pushBlob(t, other, "r", []byte("{}")), pushBlob(t, other, "r", random(1, 50_000))
			desc := putImage(t, other, "r", image("", nil, config, layer), tags("t"))
			require.NoError(t, s.DeleteRepository(t.Context(), "r", nil))
			for _, b := range []ocispec.Descriptor{config, layer} {
				_, err := other.StatBlob(t.Context(), "r", b.Digest, nil)
				require.ErrorIs(t, err, registry.ErrBlobUnknown, "call %d", n)
			}
			if opts != nil {
				_, err := other.Restore(t.Context(), "r", reference.Ref{}, nil)
				require.NoError(t, err, "call %d", n)
				_, err = readBlob(t.Context(), other, "r", layer.Digest)
				require.NoError(t, err, "call %d", n)
				_, err = other.GetManifest(t.Context(), "r", byDigest(desc.Digest))
				require.NoError(t, err, "call %d", n)
			}
			if !ran {
				require.Greater(t, n, 10)
				break
			}
		}
	}
}
