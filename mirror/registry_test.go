package mirror_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// TestARegistryOfThisModuleAsUpstream: 50 pulls of an unchanged index cost one HEAD of its tag, and
// one GET of everything that was pulled.
func TestARegistryOfThisModuleAsUpstream(t *testing.T) {
	source := registrytest.NewStore(t)
	reg, err := registry.New(source, nil)
	require.NoError(t, err)
	var mu sync.Mutex
	counts := map[string]int{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		counts[r.Method+" "+r.URL.Path]++
		mu.Unlock()
		reg.ServeHTTP(w, r)
	}))
	defer s.Close()
	one, two := registrytest.RandomImage(1, 2, 30_000), registrytest.RandomImage(2, 2, 30_000)
	index := registrytest.Index(one, two)
	require.NoError(t, index.Push(t.Context(), source, "a/app", "v1"))

	d := memory.New(nil)
	r := &rig{t: t, store: registrytest.NewStore(t)}
	r.m, err = mirror.New(t.Context(), r.store, d, []mirror.Upstream{{Name: upName, URLs: []string{s.URL}}}, nil)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			man, err := r.m.GetManifest(t.Context(), repo, byTag("v1"))
			require.NoError(t, err)
			require.Equal(t, index.Manifest, man.Content)
			require.NoError(t, r.pullDigest(t.Context(), repo, one.Descriptor.Digest))
		})
	}
	wg.Wait()
	mu.Lock()
	defer mu.Unlock()
	for request, n := range counts {
		require.Equal(t, 1, n, request)
	}
	require.Len(t, counts, 3+len(partsOf(one.Manifest)), "the tag, the index, the image and its parts: %v", counts)
}

// TestMayFetch: callers who may not cause requests get what the store has.
func TestMayFetch(t *testing.T) {
	r := newRig(t, func(u *mirror.Upstream, o *mirror.Options) {
		u.TagTTL = -1
		o.MayFetch = func(ctx context.Context, upstream, name string) bool {
			require.Equal(t, upName, upstream)
			require.Equal(t, "a/app", name)
			return !registry.IdentityFrom(ctx).Anonymous()
		}
	})
	cached, _ := r.image("v1")
	fresh, man := r.image("v2")
	reg, err := registry.New(r.m, nil)
	require.NoError(t, err)
	ann, anyone := reg.Backend(auth.Identity{Name: "ann"}), reg.Backend(auth.Identity{})
	_, err = anyone.GetManifest(t.Context(), repo, byTag("v1"))
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
	require.Zero(t, r.up.Count("", ""))
	_, err = ann.GetManifest(t.Context(), repo, byTag("v1"))
	require.NoError(t, err)

	r.up.Forget()
	got, err := anyone.GetManifest(t.Context(), repo, byTag("v1"))
	require.NoError(t, err)
	require.Equal(t, cached.Digest, got.Descriptor.Digest)
	tags, err := collect(anyone.Tags(t.Context(), repo, nil))
	require.NoError(t, err)
	require.Equal(t, []string{"v1"}, tags)
	_, err = anyone.GetManifest(t.Context(), repo, byDigest(fresh.Digest))
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
	_, err = anyone.OpenBlob(t.Context(), repo, man.Layers[0].Digest, nil)
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
	_, err = collect(anyone.Referrers(t.Context(), repo, cached.Digest, nil))
	require.NoError(t, err)
	require.Zero(t, r.up.Count("", ""))
}

// TestFullStorage: the mirror passes on what it cannot store.
func TestFullStorage(t *testing.T) {
	d := memory.New(&memory.Options{MaxBytes: 64 << 10})
	store, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	r := &rig{t: t, up: upstreamtest.New(t), store: store}
	r.restart(d, nil)
	full, err := d.Put(t.Context(), "filler", io.LimitReader(zeros{}, 60<<10), nil)
	require.NoError(t, err)
	require.NotZero(t, full.Size)
	for {
		if _, err := d.Put(t.Context(), "more"+strconv.Itoa(rand.N(1<<60)), io.LimitReader(zeros{}, 100), nil); err != nil {
			break
		}
	}
	desc, _ := r.image("v1")
	for range 2 {
		got, err := r.pull(t.Context(), repo, "v1")
		require.NoError(t, err)
		require.Equal(t, desc.Digest, got.Digest)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestStats counts what was served.
func TestStats(t *testing.T) {
	r := newRig(t, nil)
	_, man := r.image("v1")
	for range 2 {
		_, err := r.pull(t.Context(), repo, "v1")
		require.NoError(t, err)
	}
	total := man.Config.Size
	for _, l := range man.Layers {
		total += l.Size
	}
	s := r.m.Stats()
	require.EqualValues(t, 4, s.Misses)
	require.EqualValues(t, 4, s.Hits)
	require.Equal(t, 2*total, s.Served)
	require.Equal(t, total, s.Fetched)
	require.Len(t, s.Upstreams, 1)
	require.Equal(t, upName, s.Upstreams[0].Name)
	require.EqualValues(t, 1, s.Upstreams[0].Requests["HEAD manifest"])
	require.False(t, s.Upstreams[0].Down)
}

// TestRunEnds: Run works until its context ends, and the mirror then still serves what it has.
func TestRunEnds(t *testing.T) {
	r := newRig(t, func(_ *mirror.Upstream, o *mirror.Options) { o.MaxSize = 1 << 30 })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.m.Run(ctx) }()
	desc, _ := r.image("v1")
	_, err := r.pull(t.Context(), repo, "v1")
	require.NoError(t, err)
	require.NoError(t, r.m.Pin(t.Context(), repo, byTag("v1")))
	pins, err := collect(r.m.Pins(t.Context()))
	require.NoError(t, err)
	require.Equal(t, []string{repo + ":v1"}, pins)
	require.NoError(t, r.m.Unpin(t.Context(), repo, byTag("v1")))
	require.NoError(t, r.m.Unpin(t.Context(), repo, byTag("v1")))
	require.ErrorIs(t, r.m.Pin(t.Context(), "mine/app", byTag("v1")), registry.ErrNameUnknown)
	require.Error(t, r.m.Pin(t.Context(), repo, reference.Ref{}))
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	require.NoError(t, r.pullDigest(t.Context(), repo, desc.Digest))
}

// TestStorm pulls, refreshes and deletes from many goroutines while the upstream fails in all ways.
// Whatever is served is right, every error is one for clients, and once the upstream
// works, so does the mirror.
func TestStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigInMemory(t, func(u *mirror.Upstream, o *mirror.Options) {
			u.TagTTL, u.NegativeTTL, u.Timeout = 10*time.Second, time.Second, time.Second
			o.Logger = slog.New(slog.DiscardHandler)
		})
		tag := func() string { return "v" + strconv.Itoa(rand.N(4)) }
		for i := range 4 {
			r.up.Image("a/app", "v"+strconv.Itoa(i), random(100_000))
		}
		faults := []upstreamtest.Fault{
			upstreamtest.Status(500), upstreamtest.Status(403), upstreamtest.Status(404), upstreamtest.Cut(500),
			upstreamtest.Flip(100), upstreamtest.Delay(2 * time.Second), upstreamtest.NoRanges(), upstreamtest.HangBody(700),
		}
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		defer cancel()
		var served atomic.Int64
		var wg sync.WaitGroup
		wg.Go(func() {
			for ctx.Err() == nil {
				repair := r.up.Break(upstreamtest.Match{Times: 3}, faults[rand.N(len(faults))])
				r.up.Image("a/app", tag(), random(rand.N(20_000)+1))
				time.Sleep(rand.N(20 * time.Second))
				repair()
			}
		})
		for range 12 {
			wg.Go(func() {
				for ctx.Err() == nil {
					n, err := r.act(ctx, tag())
					served.Add(n)
					var visible *registry.Error
					require.True(t, err == nil || errors.As(err, &visible) || ctx.Err() != nil, "%v", err)
					time.Sleep(rand.N(5 * time.Second))
				}
			})
		}
		wg.Wait()
		require.Greater(t, served.Load(), int64(100))
		r.up.Repair()
		time.Sleep(10 * time.Minute) // whatever was left alone is asked again
		for i := range 4 {
			_, err := r.pull(t.Context(), repo, "v"+strconv.Itoa(i))
			require.NoError(t, err)
		}
	})
}

// act does something with a tag, and returns the number of blobs that were read.
func (r *rig) act(ctx context.Context, tag string) (served int64, err error) {
	switch rand.N(10) {
	case 0:
		_, err = r.m.Refresh(ctx, repo, tag)
		return 0, err
	case 1:
		return 0, r.m.DeleteManifest(ctx, repo, byTag(tag), nil)
	case 2:
		_, err = collect(r.m.Tags(ctx, repo, nil))
		return 0, err
	}
	man, err := r.m.GetManifest(ctx, repo, byTag(tag))
	if err != nil {
		return 0, err
	}
	require.Equal(r.t, digest.FromBytes(man.Content), man.Descriptor.Digest)
	for _, part := range partsOf(man.Content) {
		if _, err := read(ctx, r.m, repo, part.Digest); err != nil {
			require.NotEqual(r.t, io.ErrUnexpectedEOF, err, "wrong bytes were served")
			return served, err
		}
		served++
	}
	return served, nil
}
