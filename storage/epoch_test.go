package storage_test

import (
	"context"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// epochScene is a repository with an index of one image. Its Stores know the index.
type epochScene struct {
	config, child ocispec.Descriptor
	image, index  []byte
}

// newEpochScene pushes the scene to a Store.
func newEpochScene(t *testing.T, s *storage.Store) *epochScene {
	e := &epochScene{config: pushBlob(t, s, "r", []byte("{}"))}
	e.image = image("", nil, e.config)
	e.child = putImage(t, s, "r", e.image, nil)
	e.index = index(t, e.child)
	putIndex(t, s, "r", tags("v1"), e.child)
	return e
}

// epochDeletes are deletes of something that a manifest of the scene names, with a push of that
// manifest.
var epochDeletes = map[string]struct {
	remove func(e *epochScene, t *testing.T, s *storage.Store) error
	push   func(e *epochScene, t *testing.T, s *storage.Store, opts *registry.PutOptions) error
	gone   func(e *epochScene, t *testing.T, s *storage.Store) bool
}{
	"blob": {
		remove: func(e *epochScene, t *testing.T, s *storage.Store) error {
			return s.DeleteBlob(t.Context(), "r", e.config.Digest, nil)
		},
		push: func(e *epochScene, t *testing.T, s *storage.Store, opts *registry.PutOptions) error {
			_, err := s.PutManifest(t.Context(), "r", ocispec.MediaTypeImageManifest, e.image, opts)
			return err
		},
		gone: func(e *epochScene, t *testing.T, s *storage.Store) bool {
			_, err := s.StatBlob(t.Context(), "r", e.config.Digest, nil)
			return err != nil
		},
	},
	"child": {
		remove: func(e *epochScene, t *testing.T, s *storage.Store) error {
			return s.DeleteManifest(t.Context(), "r", byDigest(e.child.Digest), nil)
		},
		push: func(e *epochScene, t *testing.T, s *storage.Store, opts *registry.PutOptions) error {
			_, err := s.PutManifest(t.Context(), "r", ocispec.MediaTypeImageIndex, e.index, opts)
			return err
		},
		gone: func(e *epochScene, t *testing.T, s *storage.Store) bool {
			_, err := s.StatManifest(t.Context(), "r", byDigest(e.child.Digest), nil)
			return err != nil
		},
	},
}

// TestEpochPushBesideDelete runs a whole push of a known manifest before each operation of a
// delete of what it names, and the other way round. A push that begins when both have ended is
// refused if anything is missing, even by a Store that knows nothing of either.
func TestEpochPushBesideDelete(t *testing.T) {
	for name, c := range epochDeletes {
		for _, pushFirst := range []bool{false, true} {
			for n := 1; ; n++ {
				var e *epochScene
				var pushed, removed error
				push := func(s *storage.Store) { pushed = c.push(e, t, s, tags("v2")) }
				remove := func(s *storage.Store) { removed = c.remove(e, t, s) }
				outer, inner := push, remove
				if !pushFirst {
					outer, inner = remove, push
				}
				prepare := func(s *storage.Store) { e = newEpochScene(t, s) }
				s, nested := nest(t, n, prepare, outer, inner)
				if !nested {
					require.Greater(t, n, 4)
					break
				}
				require.NoError(t, removed, "%s, push first %v, operation %d", name, pushFirst, n)
				if pushed != nil {
					require.ErrorIs(t, pushed, registry.ErrManifestBlobUnknown)
				}
				// If the push has removed the mark of a child, the child exists again, as if the
				// push had come after the delete.
				gone := c.gone(e, t, s)
				require.True(t, gone || name == "child" && pushed == nil, "%s, push first %v, operation %d", name, pushFirst, n)
				err := c.push(e, t, s, tags("v3"))
				require.Equal(t, gone, err != nil, "%s, push first %v, operation %d: %v", name, pushFirst, n, err)
				if gone {
					require.ErrorIs(t, err, registry.ErrManifestBlobUnknown)
					require.NotContains(t, collect(t, s.Tags(t.Context(), "r", nil)), "v3")
				}
			}
		}
	}
}

// TestEpochPushAfterInterruptedDelete interrupts a delete after each of its writes, and may let
// another delete finish it. No incomplete manifest is accepted afterwards.
func TestEpochPushAfterInterruptedDelete(t *testing.T) {
	for name, c := range epochDeletes {
		for _, finished := range []bool{false, true} {
			for n := 0; ; n++ {
				driver := newMemory(t)
				s := newStore(t, driver, nil)
				e := newEpochScene(t, s)
				faulty := drivertest.NewFaulty(driver, nil)
				dying := newStore(t, faulty, nil)
				faulty.CutAfter(n)
				err := c.remove(e, t, dying)
				if finished {
					if err := c.remove(e, t, s); err != nil {
						require.True(t, c.gone(e, t, s), "%s, write %d: %v", name, n, err)
					}
				}
				pushed := c.push(e, t, s, tags("v2"))
				require.Equal(t, c.gone(e, t, s), pushed != nil, "%s, write %d: %v", name, n, pushed)
				if err == nil {
					require.Greater(t, n, 1)
					break
				}
			}
		}
	}
}

// TestEpochPushCostsOneRead checks that a push of a known manifest reads nothing that the
// manifest names, while nothing is deleted. After a delete, only the first push does.
func TestEpochPushCostsOneRead(t *testing.T) {
	driver := newMemory(t)
	looks := 0
	counting := newStore(t, drivertest.NewFaulty(driver,
		&drivertest.FaultyOptions{Before: func(_ context.Context, c drivertest.Call) error {
			if c.Op == "Open" && strings.HasPrefix(c.Key, "r/r/b/") {
				looks++
			}
			return nil
		}}), nil)
	e := newEpochScene(t, newStore(t, driver, nil))
	c := epochDeletes["blob"]
	push := func(want int) {
		t.Helper()
		looks = 0
		require.NoError(t, c.push(e, t, counting, tags("v2")))
		require.Equal(t, want, looks)
	}
	push(0)
	other := pushBlob(t, counting, "r", []byte("other"))
	require.NoError(t, counting.DeleteBlob(t.Context(), "r", other.Digest, nil))
	push(1)
	push(0)
	unrelated := putImage(t, counting, "r", image("unrelated", nil, e.config), nil)
	require.NoError(t, counting.DeleteManifest(t.Context(), "r", byDigest(unrelated.Digest), nil))
	push(0)
}

// TestEpochDeleteOfLastManifestRemovesRepository checks that a repository leaves the catalog
// when its manifests are deleted one after the other.
func TestEpochDeleteOfLastManifestRemovesRepository(t *testing.T) {
	for _, opts := range []*registry.DeleteOptions{nil, {Keep: func(string) bool { return false }}} {
		s := newStore(t, newMemory(t), nil)
		e := newEpochScene(t, s)
		require.NoError(t, s.DeleteRepository(t.Context(), "r", opts))
		require.Empty(t, collect(t, s.Repositories(t.Context(), nil)))
		require.ErrorIs(t, epochDeletes["blob"].push(e, t, s, nil), registry.ErrManifestBlobUnknown)
	}
}
