package evict

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// TestCrash: a run that dies at any write leaves a storage that the next run finishes, with the
// same images as an undisturbed run: nothing is evicted for what the first run has begun.
func TestCrash(t *testing.T) {
	for _, kind := range []string{"kill", "failure", "lost response"} {
		t.Run(kind, func(t *testing.T) {
			for n := 0; ; n++ {
				if !crashAt(t, kind, n) {
					require.Greater(t, n, 20)
					return
				}
			}
		})
	}
}

// crashAt runs an Evictor that fails at its write n, and then another one. It reports whether the
// first one got so far.
func crashAt(t *testing.T, kind string, n int) bool {
	d := memory.New(nil)
	w := newWorld(t, d)
	all := images(5)
	index := registrytest.Index(all[0], all[1])
	sig := registrytest.Artifact("text/sig", index.Descriptor, nil)
	w.push("hub/app", index, "index", "other")
	w.push("hub/app", sig)
	w.push("hub/b/c", all[2], tagOf(2))
	w.push("hub/app", all[3], tagOf(3))
	w.push("hub/app", all[4], tagOf(4))

	f := drivertest.NewFaulty(d, nil)
	first := newWorld(t, f)
	e := first.evictor(limit(2), exactly)
	before := f.Writes()
	switch kind {
	case "kill":
		f.CutAfter(n)
	case "failure":
		f.FailWrite(n + 1)
	default:
		f.LoseResponse(n + 1)
	}
	_, err := e.Evict(t.Context())
	reached := f.Writes()-before > n || f.Cut()
	if kind == "kill" && reached {
		require.Error(t, err)
	}
	f.Heal()

	// The process that has died begins again, or another one goes on.
	for range 2 {
		r := w.evict(limit(2), exactly)
		require.False(t, r.Over)
	}
	for repo, want := range map[string]string{"hub/app": "----xx", "hub/b/c": "-"} {
		contents := []*registrytest.Content{index, sig, all[0], all[1], all[3], all[4]}
		if repo == "hub/b/c" {
			contents = all[2:3]
		}
		w.requireOnly(repo, want, contents...)
	}
	require.Less(t, dataBytes(t, d), limit(2))
	return reached
}

// TestTwoReplicas: replicas that evict at the same time evict no more than one would.
func TestTwoReplicas(t *testing.T) {
	for range 5 {
		d := memory.New(nil)
		w := newWorld(t, d)
		all := images(12)
		for i, c := range all {
			w.push([]string{"hub/a", "hub/b"}[i%2], c, tagOf(i))
		}
		var wg sync.WaitGroup
		for range 3 {
			e := newWorld(t, d).evictor(limit(6), exactly)
			wg.Go(func() {
				_, err := e.Evict(t.Context())
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for i, c := range all {
			require.Equal(t, i >= 6, w.has([]string{"hub/a", "hub/b"}[i%2], c), i)
		}
		w.evict(limit(6), exactly)
		require.Less(t, dataBytes(t, d), limit(6))
	}
}

// TestJob: of two replicas, one at a time evicts, and the other one knows the results.
func TestJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		d := memory.New(nil)
		w := newWorld(t, d)
		all := images(4)
		for i, c := range all {
			w.push("hub/app", c, tagOf(i))
			age(time.Second)
		}
		var running, most, runs atomic.Int32
		var evictors []*Evictor
		for _, holder := range []string{"a", "b"} {
			e := newWorld(t, d).evictor(limit(2), func(o *Options) { o.Holder, o.MinAge = holder, time.Minute })
			own := e.opts.Collect
			e.opts.Collect = func(ctx context.Context) error {
				most.Store(max(most.Load(), running.Add(1)))
				defer running.Add(-1)
				runs.Add(1)
				time.Sleep(30 * time.Second)
				return own(ctx)
			}
			evictors = append(evictors, e)
			go func() { _ = e.Run(ctx) }()
		}
		age(15 * time.Minute)
		require.Equal(t, int32(1), runs.Load())
		require.Equal(t, int32(1), most.Load())
		for _, e := range evictors {
			s := e.Stats()
			require.Equal(t, int64(2), s.Images)
			require.Less(t, s.Size, limit(2))
			require.Greater(t, s.Evicted, int64(2*layer))
			require.WithinDuration(t, time.Now(), s.LastRun, 6*time.Minute)
		}
		w.requireOnly("hub/app", "--xx", all...)
		w.push("hub/app", all[0], "again")
		w.push("hub/app", all[1], "again-1")
		age(10 * time.Minute)
		require.Equal(t, int32(2), runs.Load())
		require.Less(t, dataBytes(t, d), limit(2))
		cancel()
		synctest.Wait()
	})
}

// TestQuietRuns: while the size cannot have grown, runs cost a list of the data objects.
func TestQuietRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := drivertest.NewFaulty(memory.New(nil), nil)
		w := newWorld(t, f)
		for i, c := range images(20) {
			w.push("hub/app"+tagOf(i), c, tagOf(i))
		}
		e := w.evictor(limit(40))
		first, err := e.run(t.Context(), false)
		require.NoError(t, err)
		require.True(t, first.Looked)
		before := f.Count("")
		for range 10 {
			age(5 * time.Minute)
			r, err := e.run(t.Context(), false)
			require.NoError(t, err)
			require.False(t, r.Looked)
			require.Equal(t, first.Size, r.Size)
		}
		require.LessOrEqual(t, f.Count("")-before, 40)
		age(30 * time.Minute)
		before = f.Count("Open")
		r, err := e.run(t.Context(), false)
		require.NoError(t, err)
		require.True(t, r.Looked) // once an hour
		require.LessOrEqual(t, f.Count("Open")-before, 5, "nothing is read again")
		for i, c := range images(60)[20:] {
			w.push("hub/other", c, tagOf(i))
		}
		r, err = e.run(t.Context(), false)
		require.NoError(t, err)
		require.True(t, r.Looked)
		require.Positive(t, r.Manifests)
	})
}

// TestPushWins: a tag that is pushed while a run deletes, and leads to what is deleted, keeps it,
// or the push finds it gone and stores it again. Never does the tag lead to nothing.
func TestPushWins(t *testing.T) {
	all := images(3)
	index := registrytest.Index(all[0])
	for n := 1; ; n++ {
		d := memory.New(nil)
		w := newWorld(t, d)
		w.push("hub/app", all[0], "old")
		w.push("hub/app", all[1], tagOf(1))
		w.push("hub/app", all[2], tagOf(2))
		var evicting atomic.Bool
		var writes atomic.Int64
		hit := false
		f := drivertest.NewFaulty(d, &drivertest.FaultyOptions{Before: func(_ context.Context, c drivertest.Call) error {
			if evicting.Load() && c.Write > 0 && writes.Add(1) == int64(n) {
				hit = true
				w.push("hub/app", all[0], "new")
				w.put("hub/app", index, "index")
			}
			return nil
		}})
		e := newWorld(t, f).evictor(limit(2), exactly)
		evicting.Store(true)
		r, err := e.Evict(background(t))
		require.NoError(t, err)
		if !hit {
			require.Equal(t, int64(1), r.Images)
			require.Greater(t, n, 10)
			return
		}
		for _, tag := range []string{"new", "index"} {
			m, err := w.store.GetManifest(t.Context(), "hub/app", reference.Ref{Tag: tag})
			require.NoError(t, err, "write %d: %s", n, tag)
			require.NotEmpty(t, m.Content)
		}
		require.True(t, w.has("hub/app", all[0]), "write %d", n)
		for _, b := range all[0].Blobs {
			requireReadable(t, w.store, "hub/app", digest.FromBytes(b), b)
		}
	}
}

// TestPullDuringRun: an image that is pulled after it was chosen stays.
func TestPullDuringRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		all := images(3)
		w := newWorld(t, d)
		for i, c := range all {
			w.push("hub/app", c, tagOf(i))
			age(time.Second)
		}
		age(time.Hour)
		var pulled func()
		f := drivertest.NewFaulty(d, &drivertest.FaultyOptions{Before: func(_ context.Context, c drivertest.Call) error {
			if c.Op == "Put" && c.Key == stateKey && pulled != nil {
				pulled() // the choice is made after this write
				pulled = nil
			}
			return nil
		}})
		other := newWorld(t, f)
		e := other.evictor(limit(2), exactly)
		pulled = func() {
			w.pulls.Pulled("hub/app", all[0].Descriptor.Digest, "")
			require.NoError(t, w.pulls.Flush(t.Context()))
		}
		r, err := e.Evict(t.Context())
		require.NoError(t, err)
		require.Equal(t, int64(1), r.Images)
		w.requireOnly("hub/app", "x-x", all...)
		require.Equal(t, r.Evicted, int64(layer+len(all[1].Blobs[0])))
	})
}

// TestPullsWhileEvicting: clients pull, and a fill stores again what is missing, while several
// replicas evict all the time. What is left is whole.
func TestPullsWhileEvicting(t *testing.T) {
	d := memory.New(nil)
	w := newWorld(t, d)
	var err error
	w.store, err = storage.New(t.Context(), d, nil) // not sparse: what is visible is whole
	require.NoError(t, err)
	all := images(6)
	ctx, cancel := context.WithTimeout(background(t), 2*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	var evicted atomic.Int64
	for range 2 {
		e := newWorld(t, d).evictor(limit(3))
		wg.Go(func() {
			for ctx.Err() == nil {
				r, err := e.Evict(ctx)
				if err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				if r != nil {
					evicted.Add(r.Images)
				}
			}
		})
	}
	for i := range 4 {
		wg.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				c := all[n%len(all)]
				if err := c.Push(ctx, w.store, "hub/app", tagOf(n%len(all))); err != nil && ctx.Err() == nil &&
					!errors.Is(err, registry.ErrUploadUnknown) && !errors.Is(err, registry.ErrManifestBlobUnknown) {
					t.Error(err) // blobs and data of no age may be collected before their manifest comes
				}
			}
		})
	}
	wg.Wait()
	require.Positive(t, evicted.Load())
	r := w.evict(limit(3))
	require.False(t, r.Over)
	// A run that evicts nothing leaves the data of pushes that the end of the time has interrupted.
	require.NoError(t, w.evictor(limit(3)).collect(t.Context()))
	require.Less(t, dataBytes(t, d)-uploadBytes(t, d), limit(3))
	for i, c := range all {
		m, err := w.store.GetManifest(t.Context(), "hub/app", reference.Ref{Tag: tagOf(i)})
		if errors.Is(err, registry.ErrManifestUnknown) {
			continue
		}
		require.NoError(t, err)
		require.Equal(t, c.Descriptor.Digest, m.Descriptor.Digest)
		for _, b := range c.Blobs {
			requireReadable(t, w.store, "hub/app", digest.FromBytes(b), b)
		}
	}
}

// TestFullStorage: a storage that is full does not keep a run from making space.
func TestFullStorage(t *testing.T) {
	const reserve = 64 * 64 << 10
	d := memory.New(&memory.Options{MaxBytes: reserve + 7*layer + layer/2})
	w := newWorld(t, d)
	job, err := w.store.CollectJob(nil)
	require.NoError(t, err)
	_, err = job.Run(t.Context(), &jobs.Progress{}) // makes the reserve
	require.NoError(t, err)
	all := images(7)
	for i, c := range all {
		w.push("hub/app", c, tagOf(i))
	}
	fill(t, d)
	r := w.evict(limit(3), exactly)
	require.False(t, r.Over)
	require.Less(t, dataBytes(t, d), limit(3))
}

// fill leaves a few bytes free in a driver.
func fill(t *testing.T, d driver.Driver) {
	t.Helper()
	for size := layer; size > 100; size /= 2 {
		for i := 0; ; i++ {
			key := "other/" + tagOf(size) + "-" + tagOf(i)
			_, err := d.Put(t.Context(), key, strings.NewReader(strings.Repeat("x", size)), nil)
			if err != nil {
				require.ErrorIs(t, err, driver.ErrNoSpace)
				break
			}
		}
	}
}

// uploadBytes returns the bytes of the data objects of uploads. A push whose data were collected
// leaves its upload, which no run ends: it is in progress until it expires.
func uploadBytes(t *testing.T, d driver.Driver) int64 {
	t.Helper()
	uploads := map[string]bool{}
	for u, err := range d.List(t.Context(), "u/", nil) {
		require.NoError(t, err)
		uploads[strings.TrimPrefix(u.Key, "u/")] = true
	}
	var n int64
	for data, err := range d.List(t.Context(), "data/", nil) {
		require.NoError(t, err)
		if upload, _, _ := strings.Cut(strings.TrimPrefix(data.Key, "data/"), "."); uploads[upload] {
			n += data.Size
		}
	}
	return n
}
