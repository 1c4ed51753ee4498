package evict

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// TestMinAge: what was fetched or pulled lately stays, even if the size is exceeded.
func TestMinAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New(nil))
		all := images(3)
		w.push("hub/app", all[0], "a")
		w.push("hub/app", all[1], "b")
		age(9 * time.Minute)
		w.push("hub/app", all[2], "c")
		w.pulls.Pulled("hub/app", all[0].Descriptor.Digest, "a")
		aged := func(o *Options) { o.MinAge = 0 }
		r := w.evict(10, aged)
		require.True(t, r.Over)
		require.Zero(t, r.Manifests)
		age(2 * time.Minute)
		r = w.evict(10, aged)
		require.True(t, r.Over)
		w.requireOnly("hub/app", "x-x", all...)
		require.Less(t, dataBytes(t, w.driver), limit(2))
		age(11 * time.Minute)
		r = w.evict(10, aged)
		require.False(t, r.Over)
		w.requireOnly("hub/app", "---", all...)
		require.Zero(t, dataBytes(t, w.driver))
	})
}

// TestOnlyMirrored: repositories outside the prefixes stay, and pushes in progress lose nothing.
func TestOnlyMirrored(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		w := newWorld(t, d)
		all := images(3)
		w.push("hub/app", all[0], "a")
		w.push("hubs/app", all[1], "a")
		w.push("team/app", all[2], "a")
		w.put("team/hub", registrytest.Index(), "a")
		early := w.blob("team/app", registrytest.RandomBytes(1, layer)) // its manifest comes later
		inline := w.blob("team/app", []byte("early"))
		up, err := w.store.CreateUpload(t.Context(), "team/app", nil)
		require.NoError(t, err)
		part := registrytest.RandomBytes(2, layer)
		_, err = up.Append(t.Context(), 0, layer, newReader(part))
		require.NoError(t, err)

		r := w.evict(10)
		require.Equal(t, int64(1), r.Images)
		require.Zero(t, r.Size)
		w.requireOnly("hub/app", "-", all[0])
		w.requireOnly("hubs/app", "x", all[1])
		w.requireOnly("team/app", "x", all[2])
		for _, b := range []digest.Digest{early, inline} {
			_, err = w.store.StatBlob(t.Context(), "team/app", b, nil)
			require.NoError(t, err)
		}
		_, err = up.Commit(t.Context(), digest.FromBytes(part), nil)
		require.NoError(t, err)
		requireReadable(t, w.store, "team/app", digest.FromBytes(part), part)
	})
}

// TestPins: what a pin reaches stays, and goes after Unpin.
func TestPins(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		w := newWorld(t, d)
		ctx := t.Context()
		all := images(5)
		index := registrytest.Index(all[0], all[1])
		w.push("hub/app", index, "v1")
		sig := registrytest.Artifact("text/sig", index.Descriptor, nil)
		w.push("hub/app", sig)
		w.push("hub/app", all[2], "v2")
		w.push("hub/app", all[3], "v3")
		w.push("hub/deep/er/app", all[4], "v4")
		e := w.evictor(10)
		byTag, byDigest := reference.Ref{Tag: "v1"}, reference.Ref{Digest: all[4].Descriptor.Digest}
		require.NoError(t, e.Pin(ctx, "hub/app", byTag))
		require.NoError(t, e.Pin(ctx, "hub/app", byTag))
		require.NoError(t, e.Pin(ctx, "hub/deep/er/app", byDigest))
		require.NoError(t, e.Pin(ctx, "hub/none", reference.Ref{Tag: "missing"}))
		require.Error(t, e.Pin(ctx, "hub/app", reference.Ref{}))
		require.Error(t, e.Pin(ctx, "Hub", byTag))
		require.Error(t, e.Unpin(ctx, "hub/app", reference.Ref{Tag: "a/b"}))
		require.Equal(t, []string{
			"hub/app:v1", "hub/deep/er/app@" + string(byDigest.Digest), "hub/none:missing",
		}, pinNames(t, w.evictor(0)))

		r, err := e.Evict(ctx)
		require.NoError(t, err)
		require.True(t, r.Over)
		w.requireOnly("hub/app", "xxxx--", index, sig, all[0], all[1], all[2], all[3])
		w.requireOnly("hub/deep/er/app", "x", all[4])

		require.NoError(t, e.Unpin(ctx, "hub/app", byTag))
		require.NoError(t, e.Unpin(ctx, "hub/app", byTag))
		require.NoError(t, e.Unpin(ctx, "hub/deep/er/app", byDigest))
		require.NoError(t, e.Unpin(ctx, "hub/none", reference.Ref{Tag: "missing"}))
		require.Empty(t, pinNames(t, e))
		r, err = e.Evict(ctx)
		require.NoError(t, err)
		require.False(t, r.Over)
		w.requireOnly("hub/app", "------", index, sig, all[0], all[1], all[2], all[3])
	})
}

func pinNames(t *testing.T, e *Evictor) []string {
	t.Helper()
	var names []string
	for p, err := range e.Pins(t.Context(), Pin{}) {
		require.NoError(t, err)
		names = append(names, p.String())
	}
	return names
}

// TestReading: what is being read stays, as an image or as a layer of it.
func TestReading(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		w := newWorld(t, d)
		base := registrytest.RandomBytes(5, layer)
		all := images(3)
		w.push("hub/app", all[0], "v0")
		w.push("hub/app", all[1], "v1")
		w.push("hub/app", all[2], "v2")
		stray := w.blob("hub/app", base) // no manifest names it
		e := w.evictor(10)
		manifest := e.Reading("hub/app", all[0].Descriptor.Digest)
		blob := e.Reading("hub/app", digest.FromBytes(all[1].Blobs[1]))
		lone := e.Reading("hub/app", stray)
		r, err := e.Evict(t.Context())
		require.NoError(t, err)
		require.True(t, r.Over)
		w.requireOnly("hub/app", "xx-", all...)
		requireReadable(t, w.store, "hub/app", stray, base)
		manifest()
		manifest() // once more does no harm
		blob()
		lone()
		r, err = e.Evict(t.Context())
		require.NoError(t, err)
		require.False(t, r.Over)
		require.Zero(t, dataBytes(t, d))
	})
}

// TestReadingAnOldBlob: a blob that is being read outlives its manifest, and the grace period of
// the store.
func TestReadingAnOldBlob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New(nil))
		c := images(1)[0]
		w.push("hub/app", c, "v1")
		age(48 * time.Hour)
		d := digest.FromBytes(c.Blobs[1])
		e := w.evictor(10)
		require.NoError(t, w.store.DeleteManifest(t.Context(), "hub/app", refOf(c), nil)) // just before the read
		done := e.Reading("hub/app", d)
		_, err := e.Evict(t.Context())
		require.NoError(t, err)
		requireReadable(t, w.store, "hub/app", d, c.Blobs[1])
		done()
		_, err = e.Evict(t.Context())
		require.NoError(t, err)
		require.Zero(t, dataBytes(t, w.driver))
	})
}

// TestReadingASharedLayer: of the images that share the layer that is read, one stays, not all.
func TestReadingASharedLayer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New(nil))
		var all []*registrytest.Content
		for i := range 4 { // the layers i+1 to 4, so the layer 4 is in all
			all = append(all, registrytest.RandomImage(uint64(i), 4-i, layer))
			w.push("hub/app", all[i], tagOf(i))
			age(time.Hour)
		}
		e := w.evictor(10)
		done := e.Reading("hub/app", digest.FromBytes(registrytest.RandomBytes(4, layer)))
		defer done()
		_, err := e.Evict(t.Context())
		require.NoError(t, err)
		w.requireOnly("hub/app", "---x", all...)
	})
}

// TestLongReadElsewhere: a long read by another replica counts as a pull.
func TestLongReadElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New(nil))
		all := images(2)
		for i, c := range all {
			w.push("hub/app", c, tagOf(i))
		}
		age(24 * time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		other := newWorld(t, w.driver)
		reader := other.evictor(0, func(o *Options) { o.Holder = "other" })
		go func() { _ = other.pulls.Run(ctx) }()
		go func() { _ = reader.Run(ctx) }()
		done := reader.Reading("hub/app", digest.FromBytes(all[0].Blobs[1]))
		age(time.Hour)
		w.evict(10, func(o *Options) { o.MinAge = 0 })
		w.requireOnly("hub/app", "x-", all...)
		done()
		age(time.Hour)
		w.evict(10, func(o *Options) { o.MinAge = 0 })
		w.requireOnly("hub/app", "--", all...)
		cancel()
		synctest.Wait()
	})
}
