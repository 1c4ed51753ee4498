package storage_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// tagOf returns the digest that a tag points at, or "" if the tag does not exist. It demands
// that the manifest is complete.
func tagOf(t *testing.T, s *storage.Store, blobs map[digest.Digest][]ocispec.Descriptor) digest.Digest {
	t.Helper()
	m, err := s.GetManifest(t.Context(), "r", byTag("t"))
	if errors.Is(err, registry.ErrManifestUnknown) {
		return ""
	}
	require.NoError(t, err)
	for _, b := range blobs[m.Descriptor.Digest] {
		_, err := readBlob(t.Context(), s, "r", b.Digest)
		require.NoError(t, err)
	}
	return m.Descriptor.Digest
}

// movingTag is a tag that points at one image, and another image that it is about to be moved
// to.
type movingTag struct {
	from, to digest.Digest
	content  []byte // the manifest with the digest to
	blobs    map[digest.Digest][]ocispec.Descriptor
}

func newMovingTag(t *testing.T, s *storage.Store) *movingTag {
	m := &movingTag{blobs: map[digest.Digest][]ocispec.Descriptor{}}
	config := pushBlob(t, s, "r", []byte("{}"))
	m.from = putImage(t, s, "r", image("from", nil, config), tags("t")).Digest
	layer := pushBlob(t, s, "r", random(1, 2*storage.InlineSize))
	m.content = image("to", nil, config, layer)
	m.to = putImage(t, s, "r", m.content, nil).Digest
	m.blobs[m.from], m.blobs[m.to] = []ocispec.Descriptor{config}, []ocispec.Descriptor{config, layer}
	return m
}

// move pushes the other image with the tag.
func (m *movingTag) move(ctx context.Context, s *storage.Store) error {
	_, err := s.PutManifest(ctx, "r", ocispec.MediaTypeImageManifest, m.content, tags("t"))
	return err
}

// TestTagMoveRefusedKeepsTag removes the manifest that a tag is about to be moved to, with what
// the manifest names, right before each call of the push in turn. A refused push leaves the tag
// unchanged, and an accepted push has moved it.
func TestTagMoveRefusedKeepsTag(t *testing.T) {
	for name, remove := range map[string]func(m *movingTag, s *storage.Store){
		"delete": func(m *movingTag, s *storage.Store) {
			require.NoError(t, s.DeleteManifest(t.Context(), "r", byDigest(m.to), nil))
			require.NoError(t, s.DeleteBlob(t.Context(), "r", m.blobs[m.to][1].Digest, nil))
		},
		"collection": func(_ *movingTag, s *storage.Store) {
			for range 2 { // manifests first, and then what they named
				collected(t, s, &storage.CollectOptions{Grace: -1, Untagged: true})
			}
		},
	} {
		for _, history := range []time.Duration{0, time.Hour} {
			t.Run(fmt.Sprint(name, ", history ", history), func(t *testing.T) {
				refused, moved := 0, 0
				for n := 1; ; n++ {
					driver, removed := newMemory(t), false
					opts := &storage.Options{History: history}
					other := newStore(t, driver, opts)
					m := newMovingTag(t, other)
					err := m.move(t.Context(), beforeCall(t, driver, opts, n, func(s *storage.Store) {
						removed = true
						remove(m, s)
					}))
					if !removed {
						break
					}
					now := tagOf(t, other, m.blobs)
					switch {
					case err != nil:
						require.ErrorIs(t, err, registry.ErrManifestBlobUnknown)
						require.Equal(t, m.from, now, "call %d", n)
						refused++
					case name == "delete": // the delete came after the push, and removed the tag
						require.Empty(t, now, "call %d", n)
						moved++
					default:
						require.Equal(t, m.to, now, "call %d", n)
						moved++
					}
					collected(t, other, &storage.CollectOptions{Grace: -1, Untagged: true})
					require.Equal(t, now, tagOf(t, other, m.blobs), "call %d", n)
					require.NotContains(t, contentOf(t, driver, "r/r/t/t"), "next", "call %d", n)
				}
				require.Positive(t, moved)
				// The history keeps what was deleted or tagged, not what is collected.
				if history == 0 || name == "delete" {
					require.Positive(t, refused)
				}
			})
		}
	}
}

// TestTagMoveInterrupted interrupts a push after each of its writes. The tag points at its old
// manifest or at the new one, and a collection leaves nothing else of the push.
func TestTagMoveInterrupted(t *testing.T) {
	for n := 0; ; n++ {
		driver := newMemory(t)
		s := newStore(t, driver, nil)
		m := newMovingTag(t, s)
		faulty := drivertest.NewFaulty(driver, nil)
		dying := newStore(t, faulty, nil)
		faulty.CutAfter(n)
		if m.move(t.Context(), dying) == nil {
			require.Greater(t, n, 3)
			return
		}
		now := tagOf(t, s, m.blobs)
		require.Contains(t, []digest.Digest{m.from, m.to}, now, "write %d", n)
		for range 2 {
			collected(t, s, &storage.CollectOptions{Grace: -1, Untagged: true})
			require.Equal(t, now, tagOf(t, s, m.blobs), "write %d", n)
		}
		require.NotContains(t, contentOf(t, driver, "r/r/t/t"), "next", "write %d", n)
		require.Len(t, keys(t, driver, "r/r/m/"), 1, "write %d", n)
		require.Len(t, keys(t, driver, "r/r/x/"), 1, "write %d", n)
	}
}

// TestTagMoveInterruptedOnBusyTag checks that the pending move of an interrupted push is removed
// after the grace period, although other pushes keep moving the tag.
func TestTagMoveInterruptedOnBusyTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		driver := newMemory(t)
		s := newStore(t, driver, nil)
		m := newMovingTag(t, s)
		for n := 1; !strings.Contains(contentOf(t, driver, "r/r/t/t"), "next"); n++ {
			faulty := drivertest.NewFaulty(driver, nil)
			dying := newStore(t, faulty, nil)
			faulty.CutAfter(n)
			require.Error(t, m.move(t.Context(), dying), n)
		}
		config := pushBlob(t, s, "r", []byte("{}"))
		for day := range 4 {
			putImage(t, s, "r", image(fmt.Sprint(day), nil, config), tags("t"))
			time.Sleep(storage.DefaultGrace - time.Hour)
			collected(t, s, &storage.CollectOptions{Untagged: true})
		}
		require.NotContains(t, contentOf(t, driver, "r/r/t/t"), "next")
		_, err := s.GetManifest(t.Context(), "r", byDigest(m.to))
		require.ErrorIs(t, err, registry.ErrManifestUnknown)
	})
}

// TestTagMovedConcurrently moves one tag in many goroutines, on two replicas. All of them
// succeed, and no trace of the earlier moves is left.
func TestTagMovedConcurrently(t *testing.T) {
	driver := newMemory(t)
	replicas := []*storage.Store{newStore(t, driver, nil), newStore(t, driver, nil)}
	config := pushBlob(t, replicas[0], "r", []byte("{}"))
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			for n := range 5 {
				content := image(fmt.Sprint(i, n), nil, config)
				_, err := replicas[i%2].PutManifest(t.Context(), "r", ocispec.MediaTypeImageManifest, content, tags("t"))
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
	require.NotContains(t, contentOf(t, driver, "r/r/t/t"), "next")
	require.NotEmpty(t, tagOf(t, replicas[0], nil))
	collected(t, replicas[0], &storage.CollectOptions{Grace: -1, Untagged: true})
	require.Len(t, keys(t, driver, "r/r/m/"), 1)
	require.NotEmpty(t, tagOf(t, replicas[0], nil))
}

// TestTagOfInterruptedPushIsCollected checks that a tag is removed if its push has died and its
// manifest does not exist. Another manifest, which the tag pointed at before, may still have a
// back reference to it.
func TestTagOfInterruptedPushIsCollected(t *testing.T) {
	driver := newMemory(t)
	s := newStore(t, driver, nil)
	m := newMovingTag(t, s)
	require.NoError(t, s.DeleteManifest(t.Context(), "r", byTag("t"), nil))
	require.NoError(t, m.move(t.Context(), s))
	// As if the push had died, and its manifest had been collected since.
	for _, prefix := range []string{"r/r/m/", "r/r/x/"} {
		for _, key := range keys(t, driver, prefix) {
			if strings.Contains(key, m.to.Encoded()) {
				require.NoError(t, driver.Delete(t.Context(), key, ""))
			}
		}
	}
	collected(t, s, &storage.CollectOptions{Grace: -1})
	require.Empty(t, keys(t, driver, "r/r/t/"))
	require.Empty(t, keys(t, driver, "r/r/x/"))
}

// TestRefusedPushContentIsKeptForAMinute checks that the content that a refused push must send
// again stays for the next push, despite collections. After a minute it may be collected.
func TestRefusedPushContentIsKeptForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		driver := newMemory(t)
		s := newStore(t, driver, &storage.Options{Grace: -1})
		clean := func() { collected(t, s, &storage.CollectOptions{Grace: -1, Untagged: true}) }
		layer := random(1, 2*storage.InlineSize)
		config := pushBlob(t, s, "r", []byte("{}"))
		content := image("", nil, config, ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(layer), Size: int64(len(layer)),
		})
		put := func() error {
			_, err := s.PutManifest(t.Context(), "r", ocispec.MediaTypeImageManifest, content, tags("t"))
			return err
		}
		require.ErrorIs(t, put(), registry.ErrManifestBlobUnknown)
		_, err := s.GetManifest(t.Context(), "r", byDigest(digest.FromBytes(content)))
		require.ErrorIs(t, err, registry.ErrManifestUnknown)
		require.ErrorIs(t, s.DeleteManifest(t.Context(), "r", byDigest(digest.FromBytes(content)), nil),
			registry.ErrManifestUnknown)
		require.Empty(t, collect(t, s.Repositories(t.Context(), nil)))
		clean()
		pushBlob(t, s, "r", layer)
		clean()
		require.NoError(t, put())

		require.NoError(t, s.DeleteRepository(t.Context(), "r", nil))
		clean()
		require.ErrorIs(t, put(), registry.ErrManifestBlobUnknown)
		pushBlob(t, s, "r", layer)
		time.Sleep(time.Minute)
		clean()
		clean()
		require.Empty(t, keys(t, driver, "r/"))
		require.Empty(t, keys(t, driver, "data/"))
	})
}

// TestDeleteRepositoryAfterRefusedPush checks that a refused push neither prevents the delete of
// a repository nor creates one.
func TestDeleteRepositoryAfterRefusedPush(t *testing.T) {
	driver := newMemory(t)
	s := newStore(t, driver, nil)
	config := pushBlob(t, s, "r", []byte("{}"))
	putImage(t, s, "r", image("", nil, config), tags("t"))
	missing := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromString("missing"), Size: 7}
	_, err := s.PutManifest(t.Context(), "r", ocispec.MediaTypeImageManifest, image("", nil, config, missing), nil)
	require.ErrorIs(t, err, registry.ErrManifestBlobUnknown)
	require.NoError(t, s.DeleteRepository(t.Context(), "r", nil))
	require.Empty(t, keys(t, driver, "r/r/b/"))
	_, err = s.StatBlob(t.Context(), "r", config.Digest, nil)
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
	_, err = s.PutManifest(t.Context(), "new", ocispec.MediaTypeImageManifest, image("", nil, missing), nil)
	require.ErrorIs(t, err, registry.ErrManifestBlobUnknown)
	require.ErrorIs(t, s.DeleteRepository(t.Context(), "new", nil), registry.ErrNameUnknown)
}
