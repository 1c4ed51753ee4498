package evict

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// TestManyImages measures the memory and the requests of a run with many images, of ten layers
// each. Set REGISTRYKIT_EVICT_IMAGES to try other numbers, such as 10000.
func TestManyImages(t *testing.T) {
	n := 300
	if s := os.Getenv("REGISTRYKIT_EVICT_IMAGES"); s != "" {
		var err error
		n, err = strconv.Atoi(s)
		require.NoError(t, err)
	} else if testing.Short() {
		n = 100
	}
	const layers, perRepository = 10, 100
	size := 20_000
	if n > 1000 {
		size = 100 // kept in the links, so that the test itself takes little memory
	}
	f := drivertest.NewFaulty(memory.New(nil), nil)
	w := newWorld(t, f)
	for i := range n {
		repo := fmt.Sprintf("hub/team%d/app", i/perRepository)
		w.push(repo, registrytest.RandomImage(uint64(100*i+100), layers, size), tagOf(i))
	}
	e := w.evictor(int64(n) * layers * int64(size) / 2)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, requests := heap(), f.Count("")
	table, err := e.scan(t.Context())
	require.NoError(t, err)
	cold := f.Count("") - requests
	memory := int64(heap()) - int64(before)
	require.Len(t, table.candidates, n)
	repositories := (n + perRepository - 1) / perRepository
	// Each manifest, tag and link is read once, and each repository is listed.
	require.LessOrEqual(t, cold, n*(layers+3)+10*repositories)
	requests = f.Count("")
	_, err = e.scan(t.Context())
	require.NoError(t, err)
	warm := f.Count("") - requests
	require.LessOrEqual(t, warm, 6*repositories+1+n/20) // the store remembers most tags
	require.Less(t, memory/int64(n), int64(8<<10), "bytes of memory for each image")
	runtime.KeepAlive(table)

	requests = f.Count("")
	start := time.Now()
	r, err := e.Evict(t.Context())
	require.NoError(t, err)
	require.False(t, r.Over)
	require.LessOrEqual(t, dataBytes(t, f), e.opts.MaxSize)
	t.Logf("%d images: %d requests cold, %d warm, %d KiB of memory (%d bytes an image)",
		n, cold, warm, memory>>10, memory/int64(n))
	took := time.Since(start).Round(time.Millisecond)
	t.Logf("evicting %d images: %d requests, %v", r.Images, f.Count("")-requests, took)
}

// TestRandom: in random repositories with indexes, shared children, referrers, pins, pulls and
// sparse content, a run evicts no more than it must, in the order of use, and never what has to
// stay.
func TestRandom(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(strconv.Itoa(int(seed)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { randomRun(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

// item is a manifest of a random world.
type item struct {
	repo    string
	content *registrytest.Content
	tag     string
	pinned  bool
	blobs   []digest.Digest // before the run
}

func randomRun(t *testing.T, rng *rand.Rand) {
	w := newWorld(t, memory.New(nil))
	ctx := t.Context()
	repos := []string{"hub/a", "hub/b/c"}
	var items []*item
	for i := range 12 {
		repo := repos[rng.IntN(len(repos))]
		c := registrytest.RandomImage(uint64(rng.IntN(20)), 1+rng.IntN(3), 20_000+rng.IntN(2)*20_000)
		switch kind := rng.IntN(4); {
		case kind == 0 && len(items) > 0: // an index, maybe sparse
			other := items[rng.IntN(len(items))]
			if len(other.content.Children) == 0 {
				c = registrytest.Index(c, other.content)
			}
		case kind == 1 && len(items) > 0:
			subject := items[rng.IntN(len(items))].content.Descriptor
			c = registrytest.Artifact("text/x", subject, map[string]string{"n": strconv.Itoa(i)})
		}
		it := &item{repo: repo, content: c}
		var tags []string
		if rng.IntN(3) > 0 {
			it.tag = tagOf(i)
			tags = append(tags, it.tag)
		}
		if rng.IntN(4) == 0 {
			w.put(repo, c, tags...)
		} else {
			w.push(repo, c, tags...)
		}
		items = append(items, it)
		age(time.Duration(rng.IntN(100)) * time.Minute)
	}
	e := w.evictor(0)
	for _, it := range items {
		switch rng.IntN(4) {
		case 0:
			w.pulls.Pulled(it.repo, it.content.Descriptor.Digest, it.tag)
			age(time.Duration(rng.IntN(100)) * time.Minute)
		case 1:
			it.pinned = true
			require.NoError(t, e.Pin(ctx, it.repo, refOf(it.content)))
		}
	}
	for _, it := range items {
		it.blobs = w.blobsOf(it)
	}
	before, err := e.scan(ctx)
	require.NoError(t, err)
	maxSize := before.total * int64(1+rng.IntN(10)) / 10
	r := w.evict(maxSize, exactly)
	require.LessOrEqual(t, r.Needed, r.Size)
	require.Equal(t, before.total-r.Size, before.total-r.Needed, "everything else was collected")
	if before.needed <= maxSize {
		require.Zero(t, r.Manifests)
	}
	// Pins stay, and what stays has all blobs that it had.
	for _, it := range items {
		if it.pinned {
			require.True(t, w.has(it.repo, it.content))
		}
		if w.has(it.repo, it.content) {
			require.Equal(t, it.blobs, w.blobsOf(it))
		}
	}
	after, err := e.scan(ctx)
	require.NoError(t, err)
	require.Equal(t, r.Needed, after.needed)
	// The next run has nothing to do, unless pins exceed the size.
	again := w.evict(maxSize, exactly)
	require.Zero(t, again.Manifests)
	require.Equal(t, r.Over, again.Over)
	if r.Over {
		require.Empty(t, after.candidates)
	}
	// Nothing was evicted in vain: with the last unit still there, the size would be exceeded. The
	// units after it were used later.
	if r.Images > 0 && !r.Over {
		evicted := before.candidates[:r.Images]
		for _, c := range evicted {
			for _, v := range c.victims {
				before.take(v)
			}
		}
		require.LessOrEqual(t, before.needed, maxSize)
		before.spare(evicted[len(evicted)-1].victims)
		require.Greater(t, before.needed, maxSize)
	}
}

// blobsOf returns the blobs of an item that its repository has. It reads them.
func (w *world) blobsOf(it *item) (there []digest.Digest) {
	w.t.Helper()
	for _, b := range it.content.Blobs {
		d := digest.FromBytes(b)
		if _, err := w.store.StatBlob(w.t.Context(), it.repo, d, nil); err != nil {
			require.ErrorIs(w.t, err, registry.ErrBlobUnknown) // the content is sparse
			continue
		}
		requireReadable(w.t, w.store, it.repo, d, b)
		there = append(there, d)
	}
	return there
}
