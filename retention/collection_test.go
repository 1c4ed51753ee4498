package retention_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver/drivertest"
)

// collect runs a collection. It removes the back references of tags that are gone, and writes the
// records of their manifests again.
func (w *world) collect() {
	w.t.Helper()
	_, err := w.store.Collect(w.t.Context(), nil)
	require.NoError(w.t, err)
}

// requireRewritten requires that a collection has just written the record of a manifest again.
func (w *world) requireRewritten(d digest.Digest) {
	w.t.Helper()
	r, err := w.store.Inventory().Record(w.t.Context(), app, d)
	require.NoError(w.t, err)
	require.WithinDuration(w.t, time.Now(), r.Time, time.Minute)
	require.True(w.t, r.Pushed.Before(r.Time))
}

// TestCollectionBesideApply: a collection between the removal of the tags and that of the manifests
// is no push. The manifests go.
func TestCollectionBesideApply(t *testing.T) {
	for name, do := range removals {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, kept30)
				old := w.image("v1")
				w.image("v2")
				time.Sleep(10 * day)
				plan := w.plan(newestOne)
				b := &interrupted{Backend: w.store, do: func() {
					w.collect()
					w.requireRewritten(old.Digest)
				}}
				require.NoError(t, do(w, b, plan))
				tags, manifests := w.content()
				require.Len(t, tags, 1)
				require.Len(t, manifests, 1)
				require.NotContains(t, manifests, old.Digest)
			})
		})
	}
}

// killed returns a world in which a run of the job was killed after it has removed the tag of an image,
// and before it has removed the image. A collection has come after that.
func killed(t *testing.T) (w *world, image ocispec.Descriptor) {
	t.Helper()
	w = newWorld(t, kept30)
	w.opts.MinAge = 0 // the grace period
	image = w.image("v0")
	for i := range 3 {
		w.image(fmt.Sprintf("v%d", 1+i))
	}
	time.Sleep(10 * day)
	kill := func(_ context.Context, c drivertest.Call) error {
		if c.Op == "Put" && strings.Contains(c.Key, "/m/") {
			return drivertest.ErrCut
		}
		return nil
	}
	_, err := w.runOn(t.Context(), drivertest.NewFaulty(w.driver, &drivertest.FaultyOptions{Before: kill}))
	require.ErrorIs(t, err, drivertest.ErrCut)
	w.collect()
	w.requireRewritten(image.Digest)
	tags, manifests := w.content()
	require.Len(t, tags, 3)
	require.Len(t, manifests, 4)
	return w, image
}

// TestCollectionAfterKill: the next run completes a run that was killed, although the record of the
// manifest is young: it was written again by a collection, and not by a push.
func TestCollectionAfterKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, image := killed(t)
		_, err := w.runOn(t.Context(), w.driver)
		require.NoError(t, err)
		tags, manifests := w.content()
		require.Len(t, tags, 3)
		require.Len(t, manifests, 3)
		require.NotContains(t, manifests, image.Digest)
		requireWhole(t, w.store)
	})
}

// TestPushAfterCollection: a push of a manifest that a collection has just written again is noticed.
// A client pushes the images of an index before the index.
func TestPushAfterCollection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, image := killed(t)
		w.pushAgain(image)
		_, err := w.runOn(t.Context(), w.driver)
		require.NoError(t, err)
		_, manifests := w.content()
		require.Contains(t, manifests, image.Digest, "its push was acknowledged")
		w.index("v4", image)
		requireWhole(t, w.store)
	})
}
