package usage_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
	"github.com/registrykit/registry/usage"
)

// TestCountFigures: the figures of a small storage, worked out by hand.
func TestCountFigures(t *testing.T) {
	d := memory.New(nil)
	s := newStore(t, d, nil)
	m := newMeter(t, d)
	_, err := m.Report(t.Context(), "")
	require.ErrorIs(t, err, usage.ErrNotCounted)
	const large, small = 100_000, 1000
	shared, own := registrytest.RandomBytes(1, large), registrytest.RandomBytes(2, large)
	inline := registrytest.RandomBytes(3, small)
	for _, repo := range []string{"team", "team/app", "teams"} {
		pushBlob(t, s, repo, shared)
		pushBlob(t, s, repo, inline)
	}
	pushBlob(t, s, "team/app", own)
	pushBlob(t, s, "other", registrytest.RandomBytes(4, large))
	_, err = m.Count(t.Context(), nil)
	require.NoError(t, err)

	require.Equal(t, usage.Figures{
		Repositories: 4, Blobs: 4, Logical: 3*large + small, Repeated: 5*large + 3*small, Physical: 3*large + 3*small,
		Exclusive: 3*large + 3*small,
	}, figures(t, m, ""))
	require.Equal(t, usage.Figures{
		Repositories: 2, Blobs: 3, Logical: 2*large + small, Repeated: 3*large + 2*small, Physical: 2*large + 2*small,
		Exclusive: large + 2*small,
	}, figures(t, m, "team"))
	require.Equal(t, usage.Figures{
		Repositories: 1, Blobs: 2, Logical: large + small, Repeated: large + small, Physical: large + small, Exclusive: small,
	}, figures(t, m, "teams"))
	r, err := m.Report(t.Context(), "team")
	require.NoError(t, err)
	require.True(t, r.Repository)
	require.Equal(t, int64(1), r.Children)
	require.Equal(t, figures(t, m, "teams"), r.Own) // the same content
	_, err = m.Report(t.Context(), "tea")
	require.ErrorIs(t, err, registry.ErrNameUnknown)
	_, err = m.Report(t.Context(), "Team")
	require.ErrorIs(t, err, registry.ErrNameInvalid)

	// What was deleted and not collected yet, and the bytes of uploads, are in the storage.
	last := digest.FromBytes(registrytest.RandomBytes(4, large))
	require.NoError(t, s.DeleteBlob(t.Context(), "other", last, nil))
	u, err := s.CreateUpload(t.Context(), "team", nil)
	require.NoError(t, err)
	_, err = u.Append(t.Context(), 0, large, strings.NewReader(string(registrytest.RandomBytes(9, large))))
	require.NoError(t, err)
	r, err = m.Count(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, int64(2*large), r.Figures.Unreferenced)
	require.Equal(t, int64(2*large+3*small), r.Figures.Physical)
}

// TestCountMatchesWalk: on random storages with shared data, deletes, collections and pushes during counts,
// every figure of every prefix is that of a walk.
func TestCountMatchesWalk(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		rounds := 8
		if _, isMemory := d.(*memory.Driver); !isMemory || testing.Short() {
			rounds = 2
		}
		random := rand.New(rand.NewPCG(16, 4))
		s := newStore(t, d, &storage.Options{History: time.Hour})
		meters := []*usage.Meter{newMeter(t, d), newMeter(t, d)}
		for _, m := range meters {
			m.SetPageSize(900)
			m.SetPartSize(2000)
			m.SetKeepPages(0)
		}
		for round := range rounds {
			for range 8 {
				change(t.Context(), t, s, random)
			}
			var wg sync.WaitGroup
			busy := rand.New(rand.NewPCG(uint64(round), 1))
			wg.Go(func() {
				for range 4 {
					change(t.Context(), t, s, busy)
				}
			})
			for _, m := range meters { // at once
				wg.Go(func() {
					if _, err := m.Count(t.Context(), nil); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			m := meters[round%2]
			top, err := m.Count(t.Context(), nil)
			require.NoError(t, err)
			requireWalk(t, s, m, top)
		}
	})
}

var repositories = []string{
	"team", "team/app", "team/app/web", "team/app-x", "team-x", "team.x/app", "team_x", "teams/app", "a/b/c/d", "a/b/c/e",
	"a/b2", "z", "z/y/x", "lib/base",
}

// change makes one random change.
func change(ctx context.Context, t *testing.T, s *storage.Store, random *rand.Rand) {
	repo := repositories[random.IntN(len(repositories))]
	var err error
	switch n := random.IntN(10); {
	case n < 6:
		size := []int{10, 20_000, 100_000}[random.IntN(3)]
		err = registrytest.RandomImage(uint64(random.IntN(12)), 1+random.IntN(3), size).
			Push(ctx, s, repo, fmt.Sprint("v", random.IntN(3)))
	case n < 7:
		_, err = registry.PushBlob(ctx, s, repo, "", strings.NewReader(fmt.Sprint("blob ", random.IntN(10))))
	case n < 8:
		for m := range s.Inventory().Manifests(ctx, repo) {
			err = s.DeleteManifest(ctx, repo, reference.Ref{Digest: m.Digest}, nil)
			break
		}
	case n < 9:
		err = s.DeleteRepository(ctx, repo, nil)
	default:
		_, err = s.Collect(ctx, &storage.CollectOptions{Untagged: random.IntN(2) == 0, Grace: time.Hour})
	}
	if err != nil && !errors.Is(err, registry.ErrNameUnknown) && !errors.Is(err, registry.ErrManifestUnknown) &&
		!errors.Is(err, registry.ErrManifestBlobUnknown) {
		t.Errorf("%s: %v", repo, err)
	}
}

// requireWalk compares the reports of all prefixes with those of a walk.
func requireWalk(t *testing.T, s *storage.Store, m *usage.Meter, top usage.Report) {
	t.Helper()
	want := walk(t, s)
	require.NotEmpty(t, want)
	for prefix, f := range want {
		r, err := m.Report(t.Context(), prefix)
		require.NoError(t, err, "%q", prefix)
		require.Equal(t, top.Counted.UnixNano(), r.Counted.UnixNano())
		if prefix == "" {
			_, bytes, err := s.Inventory().Bytes(t.Context())
			require.NoError(t, err)
			f.Unreferenced += bytes
			require.Equal(t, f, top.Figures)
		}
		require.Equal(t, f, r.Figures, "%q", prefix)
	}
	requireChildren(t, m, want)
}

// requireChildren requires that Children and Largest agree with the Report of each child.
func requireChildren(t *testing.T, m *usage.Meter, want map[string]usage.Figures) {
	t.Helper()
	for prefix := range want {
		children := []usage.Report{}
		for name := range want {
			if above := name[:max(0, strings.LastIndexByte(name, '/'))]; name != "" && above == prefix {
				r, err := m.Report(t.Context(), name)
				require.NoError(t, err)
				children = append(children, r)
			}
		}
		slices.SortFunc(children, func(a, b usage.Report) int { return strings.Compare(a.Prefix, b.Prefix) })
		got := collect(t, m.Children(t.Context(), prefix, ""))
		require.Equal(t, children, got, "%q", prefix)
		r, err := m.Report(t.Context(), prefix)
		require.NoError(t, err)
		require.Equal(t, int64(len(children)), r.Children)
		if len(children) == 0 {
			continue
		}
		require.Equal(t, children[1:], collect(t, m.Children(t.Context(), prefix, children[0].Prefix)))
		slices.SortStableFunc(children, func(a, b usage.Report) int { return int(b.Figures.Physical - a.Figures.Physical) })
		for i := range children {
			children[i].Own = usage.Figures{}
		}
		largest, err := m.Largest(t.Context(), prefix, 3)
		require.NoError(t, err)
		require.Equal(t, children[:min(3, len(children))], largest, "%q", prefix)
	}
}

// walk works out the figures of all prefixes in the plain way, one prefix after the other.
// Unreferenced of "" is minus the size of the referenced data.
func walk(t *testing.T, s *storage.Store) map[string]usage.Figures {
	t.Helper()
	type piece struct{ size, copies int64 }
	type repository struct {
		blobs, manifests map[digest.Digest]int64
		data             map[string]int64
		figures          usage.Figures
	}
	all := map[string]*repository{}
	for name, err := range s.Inventory().Repositories(t.Context(), "") {
		require.NoError(t, err)
		r := &repository{data: map[string]int64{}}
		r.blobs, r.manifests = served(t, s, name)
		for b, size := range r.blobs {
			data, err := s.Inventory().Data(t.Context(), name, b)
			require.NoError(t, err)
			r.figures.Physical += data.Inline
			if size > data.Inline {
				r.data[strings.Join(data.Objects, " ")] = size - data.Inline
			}
		}
		for _, size := range r.manifests {
			r.figures.Physical += size
		}
		for _, err := range s.Tags(t.Context(), name, nil) {
			if !errors.Is(err, registry.ErrNameUnknown) {
				require.NoError(t, err)
				r.figures.Tags++
			}
		}
		if len(r.blobs)+len(r.manifests)+int(r.figures.Tags) > 0 {
			all[name] = r
		}
	}
	figures := map[string]usage.Figures{"": {}}
	for name := range all {
		for i := range name {
			if name[i] == '/' {
				figures[name[:i]] = usage.Figures{}
			}
		}
		figures[name] = usage.Figures{}
	}
	for prefix := range figures {
		f := usage.Figures{}
		blobs, manifests, data := map[digest.Digest]int64{}, map[digest.Digest]int64{}, map[string]piece{}
		for name, r := range all {
			if prefix != "" && name != prefix && !strings.HasPrefix(name, prefix+"/") {
				continue
			}
			f.Repositories++
			f.Tags += r.figures.Tags
			f.Physical += r.figures.Physical
			f.Exclusive += r.figures.Physical
			for d, size := range r.blobs {
				blobs[d] = size
				f.Repeated += size
			}
			for d, size := range r.manifests {
				manifests[d] = size
				f.Repeated += size
			}
			for d, size := range r.data {
				data[d] = piece{size, data[d].copies + 1}
			}
		}
		for _, size := range blobs {
			f.Blobs++
			f.Logical += size
		}
		for _, size := range manifests {
			f.Manifests++
			f.Logical += size
		}
		for d, p := range data {
			f.Physical += p.size
			copies := int64(0)
			for _, r := range all {
				if _, ok := r.data[d]; ok {
					copies++
				}
			}
			if copies == p.copies {
				f.Exclusive += p.size
			}
			if prefix == "" {
				f.Unreferenced -= p.size
			}
		}
		figures[prefix] = f
	}
	return figures
}

func figures(t *testing.T, m *usage.Meter, prefix string) usage.Figures {
	t.Helper()
	r, err := m.Report(t.Context(), prefix)
	require.NoError(t, err)
	return r.Figures
}
