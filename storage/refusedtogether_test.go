package storage_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// halting is one operation that halts right before some of its calls.
type halting struct {
	store *storage.Store
	reach chan struct{} // it has halted
	goOn  chan struct{}
	done  chan error
}

// newHalting returns a halting on the driver d. It halts before the first call that the first of stops
// accepts, then before the first later call that the second accepts, and so on.
func newHalting(t *testing.T, d driver.Driver, stops ...func(c drivertest.Call) bool) *halting {
	h := &halting{reach: make(chan struct{}), goOn: make(chan struct{}), done: make(chan error, 1)}
	var mu sync.Mutex
	next := func(c drivertest.Call) bool {
		mu.Lock()
		defer mu.Unlock()
		if len(stops) == 0 || !stops[0](c) {
			return false
		}
		stops = stops[1:]
		return true
	}
	h.store = newStore(t, drivertest.NewFaulty(d, &drivertest.FaultyOptions{
		Before: func(_ context.Context, c drivertest.Call) error {
			if next(c) {
				h.reach <- struct{}{}
				<-h.goOn
			}
			return nil
		},
	}), nil)
	return h
}

// start runs the operation until it halts.
func (h *halting) start(op func(s *storage.Store) error) {
	go func() { h.done <- op(h.store) }()
	<-h.reach
}

// toNext lets the operation go on until it halts again.
func (h *halting) toNext() {
	h.goOn <- struct{}{}
	<-h.reach
}

// toEnd lets the operation end, and returns its error.
func (h *halting) toEnd() error {
	h.goOn <- struct{}{}
	return <-h.done
}

// callOf accepts a call of an operation on a key that contains a text.
func callOf(op, key string) func(c drivertest.Call) bool {
	return func(c drivertest.Call) bool { return c.Op == op && strings.Contains(c.Key, key) }
}

// refusedTogether is two pushes of a manifest with the same tag, which halt before they write the tag.
// The manifest is there, and has no tag yet. Before the pushes go on, the manifest and what it names are
// deleted.
type refusedTogether struct {
	d             driver.Driver
	s             *storage.Store // without halts
	digest        digest.Digest
	first, second *halting
}

func newRefusedTogether(t *testing.T, d driver.Driver, subject *ocispec.Descriptor) (r *refusedTogether,
	config ocispec.Descriptor) {
	r = &refusedTogether{d: d, s: newStore(t, d, nil)}
	config = pushBlob(t, r.s, "r", []byte("{}"))
	content := image("", subject, config)
	r.digest = putImage(t, r.s, "r", content, nil).Digest
	push := func(s *storage.Store) error {
		_, err := s.PutManifest(t.Context(), "r", ocispec.MediaTypeImageManifest, content, tags("v1"))
		return err
	}
	// The first halts again when it looks for what the manifest names: it has begun anew.
	r.first = newHalting(t, d, callOf("Put", "/t/v1"), callOf("Open", "/b/"))
	r.second = newHalting(t, d, callOf("Put", "/t/v1"))
	r.first.start(push)
	r.second.start(push)
	return r, config
}

// requireNothing requires that nothing is left that leads to the manifest.
func (r *refusedTogether) requireNothing(t *testing.T) {
	t.Helper()
	_, err := r.s.GetManifest(t.Context(), "r", byDigest(r.digest))
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
	require.Empty(t, keys(t, r.d, "r/r/t/"))
	require.Empty(t, keys(t, r.d, "r/r/f/"))
}

// TestPushesRefusedTogetherLeaveNoTag: two pushes write a tag after the delete of its manifest, the
// second in place of the first. Both are refused, the second while the first has the manifest pending.
func TestPushesRefusedTogetherLeaveNoTag(t *testing.T) {
	for name, subject := range map[string]*ocispec.Descriptor{"image": nil, "referrer": {
		MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("subject"), Size: 7,
	}} {
		t.Run(name, func(t *testing.T) {
			onDrivers(t, func(t *testing.T, d driver.Driver) {
				r, config := newRefusedTogether(t, d, subject)
				require.NoError(t, r.s.DeleteManifest(t.Context(), "r", byDigest(r.digest), nil))
				require.NoError(t, r.s.DeleteBlob(t.Context(), "r", config.Digest, nil))
				r.first.toNext()
				require.ErrorIs(t, r.second.toEnd(), registry.ErrManifestBlobUnknown)
				require.Empty(t, keys(t, d, "r/r/t/"), "the first may die here")
				require.Empty(t, keys(t, d, "r/r/f/"))
				require.ErrorIs(t, r.first.toEnd(), registry.ErrManifestBlobUnknown)
				r.requireNothing(t)
			})
		})
	}
}

// TestPushesRefusedBesideDeleteLeaveNoTag is the same beside a delete that has not ended: it has looked
// for tags before the pushes write theirs, and removes the manifest after both are refused.
func TestPushesRefusedBesideDeleteLeaveNoTag(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		r, config := newRefusedTogether(t, d, nil)
		del := newHalting(t, d, callOf("Delete", "/m/"))
		del.start(func(s *storage.Store) error {
			return s.DeleteManifest(t.Context(), "r", byDigest(r.digest), nil)
		})
		require.NoError(t, r.s.DeleteBlob(t.Context(), "r", config.Digest, nil))
		r.first.toNext()
		require.ErrorIs(t, r.second.toEnd(), registry.ErrManifestBlobUnknown)
		require.ErrorIs(t, r.first.toEnd(), registry.ErrManifestBlobUnknown)
		require.NoError(t, del.toEnd())
		r.requireNothing(t)
	})
}

// TestRestoredEntryOfReferrerGoesWithReferrer pushes an index that names a referrer beside a delete of
// the referrer, so that the push writes the entry of the referrer again. Before that, the referrer is
// deleted again, and pushed without what it names.
func TestRestoredEntryOfReferrerGoesWithReferrer(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		s := newStore(t, d, nil)
		config := pushBlob(t, s, "r", []byte("{}"))
		content := image("", &ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("subject"), Size: 7,
		}, config)
		refer := putImage(t, s, "r", content, nil)
		remove := func(s *storage.Store) error {
			return s.DeleteManifest(t.Context(), "r", byDigest(refer.Digest), nil)
		}
		first := newHalting(t, d, callOf("Delete", "/m/"))
		first.start(remove)
		named := newHalting(t, d, callOf("Put", "/f/"))
		named.start(func(s *storage.Store) error {
			_, err := s.PutManifest(t.Context(), "r", ocispec.MediaTypeImageIndex, index(t, refer), nil)
			return err
		})
		require.NoError(t, first.toEnd())
		require.NoError(t, remove(s))
		require.NoError(t, s.DeleteBlob(t.Context(), "r", config.Digest, nil))
		again := newHalting(t, d, callOf("Open", "/b/"))
		again.start(func(s *storage.Store) error {
			_, err := s.PutManifest(t.Context(), "r", ocispec.MediaTypeImageManifest, content, nil)
			return err
		})
		require.NoError(t, named.toEnd())
		require.ErrorIs(t, again.toEnd(), registry.ErrManifestBlobUnknown)
		require.Empty(t, keys(t, d, "r/r/f/"))
	})
}

// TestContendedPushLeavesNoPendingMove writes the manifest of a push again whenever the push has made
// the move of its tag pending. The push fails, and takes the pending move back.
func TestContendedPushLeavesNoPendingMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemory(t)
		s := newStore(t, d, nil)
		config := pushBlob(t, s, "r", []byte("{}"))
		putImage(t, s, "r", image("other", nil, config), tags("v1"))
		content := image("", nil, config)
		key := "r/r/m/" + pathOf(digest.FromBytes(content))
		contended := newStore(t, drivertest.NewFaulty(d, &drivertest.FaultyOptions{
			Before: func(ctx context.Context, c drivertest.Call) error {
				if c.Op != "Stat" || c.Key != key {
					return nil
				}
				r, _, err := d.Open(ctx, key, nil)
				if err != nil {
					return err
				}
				record, err := io.ReadAll(r)
				if err == nil {
					_, err = d.Put(ctx, key, bytes.NewReader(record), nil)
				}
				return err
			},
		}), nil)
		_, err := contended.PutManifest(t.Context(), "r", ocispec.MediaTypeImageManifest, content, tags("v1"))
		require.ErrorIs(t, err, registry.ErrUnavailable)
		require.NotContains(t, contentOf(t, d, "r/r/t/v1"), `"next"`)
	})
}
