package evict

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// TestEvictsTheOldest: the images that were fetched first go first, and the space is really freed.
func TestEvictsTheOldest(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		w := newWorld(t, d)
		all := images(6)
		for i, c := range all {
			w.push("hub/app", c, tagOf(i))
		}
		require.Greater(t, dataBytes(t, d), limit(3))
		e := w.evictor(limit(4))
		r, err := e.Evict(t.Context())
		require.NoError(t, err)
		require.Equal(t, int64(2), r.Images)
		require.Equal(t, int64(2), r.Manifests)
		require.Greater(t, r.Evicted, int64(2*layer))
		require.True(t, r.Collected)
		require.False(t, r.Over)
		require.LessOrEqual(t, r.Size, limit(4))
		require.Equal(t, r.Size, r.Needed)
		require.LessOrEqual(t, dataBytes(t, d), limit(4))
		w.requireOnly("hub/app", "--xxxx", all...)

		s := e.Stats()
		require.Equal(t, r.Size, s.Size)
		require.Equal(t, r.Evicted, s.Evicted)
		require.Equal(t, int64(2), s.Images)
		require.WithinDuration(t, time.Now(), s.SizeAt, time.Minute)
		require.Empty(t, s.Error)

		// Nothing is left to do, for any replica.
		again := newWorld(t, d).evict(limit(4))
		require.Zero(t, again.Manifests)
		require.False(t, again.Collected)
		require.Equal(t, r.Size, again.Size)
	})
}

// TestEvictsByPulls: a pull makes an image young, by its digest or its tag, and whichever replica
// saw it.
func TestEvictsByPulls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New(nil))
		all := images(5)
		for i, c := range all {
			w.push("hub/app", c, tagOf(i))
		}
		age(time.Hour)
		other := newWorld(t, w.driver)
		other.pulls.Pulled("hub/app", all[0].Descriptor.Digest, "")
		require.NoError(t, other.pulls.Flush(t.Context()))
		w.pulls.Pulled("hub/app", "", tagOf(2))
		w.evict(limit(2), exactly)
		w.requireOnly("hub/app", "x-x--", all...)
		times, err := w.pulls.Read(t.Context(), "hub/app")
		require.NoError(t, err)
		require.Equal(t, 2, times.Len())
	})
}

// TestSharedData: data that several repositories or images share count once, and go with the last
// one.
func TestSharedData(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		w := newWorld(t, d)
		one := registrytest.RandomImage(1000, 1, layer)
		w.push("hub/a", one, "v")
		w.push("hub/b", one, "v")
		w.push("team/c", one, "v")
		r := w.evict(limit(1))
		require.Zero(t, r.Manifests)
		require.Less(t, r.Size, int64(layer+2000))

		// Images with layers in common: 2001 2002, 2002 2003, 2003 2004.
		w.push("hub/d", registrytest.RandomImage(2000, 2, layer), "0")
		w.push("hub/d", registrytest.RandomImage(2001, 2, layer), "1")
		w.push("hub/d", registrytest.RandomImage(2002, 2, layer), "2")
		r = w.evict(limit(4), exactly)
		// hub/a and hub/b go first, and free nothing before both are gone. Then one layer must go.
		require.False(t, w.has("hub/a", one))
		require.False(t, w.has("hub/b", one))
		require.Equal(t, int64(2), r.Images)
		require.Less(t, r.Size, limit(4))
		require.Greater(t, r.Size, int64(4*layer))
		w.requireOnly("team/c", "x", one)
		requireReadable(t, w.store, "team/c", digest.FromBytes(one.Blobs[1]), one.Blobs[1])
	})
}

// TestSharedManifest: a child stays as long as an index that was used later reaches it.
func TestSharedManifest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New(nil))
		all := images(3)
		old, young := registrytest.Index(all[0], all[1]), registrytest.Index(all[1], all[2])
		w.push("hub/app", old, "old")
		age(2 * time.Hour)
		w.push("hub/app", young, "young")
		w.evict(limit(2), exactly)
		w.requireOnly("hub/app", "-x-xx", old, young, all[0], all[1], all[2])
	})
}

// TestChildOnItsOwn: the pull of a child by its digest keeps it, and not its index.
func TestChildOnItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New(nil))
		all := images(3)
		index := registrytest.Index(all[0], all[1])
		w.push("hub/app", index, "v1")
		age(24 * time.Hour)
		w.push("hub/app", all[2], "v2")
		age(24 * time.Hour)
		w.pulls.Pulled("hub/app", all[0].Descriptor.Digest, "")
		w.evict(limit(2), exactly)
		w.requireOnly("hub/app", "-x-x", index, all[0], all[1], all[2])

		// A pull of the tag is followed by one of the child, and keeps the whole.
		w.push("hub/b", index, "v1")
		age(24 * time.Hour)
		w.push("hub/b", all[2], "v2")
		age(24 * time.Hour)
		w.pulls.Pulled("hub/b", index.Descriptor.Digest, "v1")
		age(time.Minute)
		w.pulls.Pulled("hub/b", all[0].Descriptor.Digest, "")
		w.evict(limit(2), exactly)
		w.requireOnly("hub/b", "xxx-", index, all[0], all[1], all[2])
	})
}

// TestSparseIndex: the children of an index count as far as they are there.
func TestSparseIndex(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		w := newWorld(t, d)
		all := images(3)
		index := registrytest.Index(all[0], all[1])
		w.put("hub/app", index, "sparse")
		w.push("hub/app", all[1])
		w.push("hub/app", all[2], "young")
		r := w.evict(limit(1), exactly)
		w.requireOnly("hub/app", "---x", index, all[0], all[1], all[2])
		require.Equal(t, int64(1), r.Images)
		require.Equal(t, int64(2), r.Manifests)

		// A manifest whose blobs did not all arrive.
		partial := registrytest.RandomImage(9000, 2, layer)
		w.put("hub/app", partial, "partial")
		w.blob("hub/app", partial.Blobs[1])
		w.evict(limit(1), exactly)
		require.True(t, w.has("hub/app", partial))
		require.False(t, w.has("hub/app", all[2]))
	})
}

// TestReferrers: referrers go with their subject, whatever was pulled, and stay with it.
func TestReferrers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New(nil))
		all := images(2)
		var refs []*registrytest.Content
		for _, c := range all {
			w.push("hub/app", c, "t"+c.Descriptor.Digest.Encoded()[:8])
			sbom := registrytest.Artifact("text/sbom", c.Descriptor, nil)
			sig := registrytest.Artifact("text/sig", sbom.Descriptor, nil) // a referrer of a referrer
			cosign := registrytest.RandomImage(uint64(c.Descriptor.Size+int64(len(refs))*77), 1, 20)
			w.push("hub/app", sbom)
			w.push("hub/app", sig)
			w.push("hub/app", cosign, "sha256-"+c.Descriptor.Digest.Encoded()+".sig")
			refs = append(refs, sbom, sig, cosign)
			age(time.Hour)
		}
		for _, r := range refs[:3] { // a policy controller looks at signatures
			w.pulls.Pulled("hub/app", r.Descriptor.Digest, "")
		}
		w.pulls.Pulled("hub/app", "", "sha256-"+all[0].Descriptor.Digest.Encoded()+".sig")
		r := w.evict(limit(1), exactly)
		w.requireOnly("hub/app", "-x---xxx", append(all, refs...)...)
		require.Equal(t, int64(1), r.Images)
		require.Equal(t, int64(4), r.Manifests)
	})
}

// TestUnneeded: blobs that no manifest names are counted, and removed once they are old.
func TestUnneeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New(nil))
		w.blob("hub/app", registrytest.RandomBytes(1, layer))
		aged := func(o *Options) { o.MinAge = 0 }
		r := w.evict(layer/2, aged)
		require.Equal(t, int64(layer), r.Size)
		require.Zero(t, r.Needed)
		require.False(t, r.Collected)
		require.True(t, r.Over)
		age(11 * time.Minute)
		r = w.evict(layer/2, aged)
		require.True(t, r.Collected)
		require.Zero(t, r.Size)
		require.Zero(t, dataBytes(t, w.driver))
	})
}

// TestHistory: a store with a history keeps what is evicted, and the evictor does not evict more
// for it.
func TestHistory(t *testing.T) {
	w := newWorld(t, memory.New(nil))
	s, err := storage.New(t.Context(), w.driver, &storage.Options{Sparse: true, History: time.Hour})
	require.NoError(t, err)
	w.store = s
	all := images(4)
	for i, c := range all {
		w.push("hub/app", c, tagOf(i))
	}
	for range 3 {
		r := w.evict(limit(2), exactly)
		require.True(t, r.Over)
		require.Less(t, r.Needed, limit(2))
	}
	for i, c := range all {
		require.Equal(t, i > 1, w.has("hub/app", c))
	}
}

// TestOwnCollect: without a collection nothing is freed, and nothing more is evicted.
func TestOwnCollect(t *testing.T) {
	w := newWorld(t, memory.New(nil))
	all := images(4)
	for i, c := range all {
		w.push("hub/app", c, tagOf(i))
	}
	calls := 0
	none := func(o *Options) { o.Target, o.Collect = o.MaxSize, func(context.Context) error { calls++; return nil } }
	for range 3 {
		require.True(t, w.evict(limit(2), none).Over)
	}
	require.Equal(t, 3, calls)
	for i, c := range all {
		require.Equal(t, i > 1, w.has("hub/app", c))
	}
	require.False(t, w.evict(limit(2), exactly).Over)
	w.requireOnly("hub/app", "--xx", all...)
}

func TestNewErrors(t *testing.T) {
	w := newWorld(t, memory.New(nil))
	for _, o := range []Options{
		{MaxSize: -1}, {Target: 5, MaxSize: 4}, {Target: -1}, {Interval: -1}, {Prefixes: []string{"Hub"}},
	} {
		_, err := New(w.store, w.driver, nil, &o)
		require.Error(t, err)
	}
	_, err := New(nil, w.driver, nil, nil)
	require.Error(t, err)
	_, err = New(w.store, nil, nil, nil)
	require.Error(t, err)
}

// TestNestedPrefixes: a repository below two prefixes counts once.
func TestNestedPrefixes(t *testing.T) {
	w := newWorld(t, memory.New(nil))
	w.push("hub/lib/app", images(1)[0], "v")
	w.push("hub-x/app", images(2)[1], "v")
	r := w.evict(0, func(o *Options) { o.Prefixes = []string{"hub/lib", "hub-x", "hub", "hub"} })
	require.Equal(t, int64(2), r.Size/layer)
}

func requireReadable(t *testing.T, b registry.Backend, repo string, d digest.Digest, want []byte) {
	t.Helper()
	blob, err := b.OpenBlob(t.Context(), repo, d, nil)
	require.NoError(t, err)
	defer blob.Body.Close()
	got, err := readAll(blob.Body)
	require.NoError(t, err)
	require.Equal(t, want, got)
}
