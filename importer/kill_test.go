package importer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/importer"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/replicate"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// model is what a tree holds: the digest of each tag, by repository and tag.
type model map[string]digest.Digest

func (m model) set(tr *tree, repo, tag string, d digest.Digest, at time.Time) {
	tr.tag(repo, tag, d, at)
	m[repo+":"+tag] = d
}

// randomTree returns a tree of a few repositories, with shared layers, indexes, referrers.
func randomTree(t testing.TB, rnd *rand.Rand) (*tree, model) {
	tr, m := newTree(t), model{}
	var shared [][]byte
	for range 4 {
		shared = append(shared, random(100+rnd.IntN(2*large)))
	}
	for i := range 3 {
		repo := strings.Repeat("sub/", i) + fmt.Sprintf("app%d", i)
		for j := range 3 {
			image := tr.image(repo, tr.layer(repo, shared[rnd.IntN(4)]), tr.layer(repo, random(rnd.IntN(2*large))))
			m.set(tr, repo, fmt.Sprintf("v%d", j), image.Digest, start.Add(time.Duration(rnd.IntN(1e9))))
			if rnd.IntN(2) == 0 {
				tr.referrer(repo, image, "application/vnd.example")
			}
			if rnd.IntN(2) == 0 {
				m.set(tr, repo, "latest", tr.index(repo, image, tr.image(repo)).Digest, start)
			}
		}
	}
	return tr, m
}

// check requires that the destination has whole images only, and with all set everything of the model.
func (m model) check(dst *destination, all bool, at string) {
	t := dst.t
	for repo, err := range dst.store.Repositories(t.Context(), nil) {
		require.NoError(t, err)
		for tag, err := range dst.store.Tags(t.Context(), repo, nil) {
			require.NoError(t, err)
			ref := repo + ":" + tag
			require.Equal(t, m[ref], dst.tagged(repo, tag), "%s: %s", at, ref)
			missing, err := replicate.Verify(t.Context(), dst.store, ref, nil)
			require.NoError(t, err, at)
			require.Empty(t, missing, "%s: %s", at, ref)
		}
	}
	if !all {
		return
	}
	for ref, d := range m {
		repo, tag, _ := strings.Cut(ref, ":")
		require.Equal(t, d, dst.tagged(repo, tag), "%s: %s", at, ref)
	}
}

// linking passes the ability to take files over on to a driver below a Faulty, as a write.
type linking struct {
	*drivertest.Faulty
	adopter driver.Adopter
}

func (l linking) Adopt(ctx context.Context, key string, source any, opts *driver.AdoptOptions) (driver.Info,
	driver.Adoption, error) {
	if _, err := l.Stat(ctx, key); errors.Is(err, drivertest.ErrCut) {
		return driver.Info{}, "", err
	}
	return l.adopter.Adopt(ctx, key, source, opts)
}

// TestKilledAndContinued kills an import after a random number of writes. What is visible then is whole.
// In the meantime, the source moves a tag, and another Run takes over the rest, on the disk and in memory.
func TestKilledAndContinued(t *testing.T) {
	runs := 6
	if n, err := strconv.Atoi(os.Getenv("REGISTRYKIT_IMPORT_RUNS")); err == nil {
		runs = n // 40 take a minute
	}
	for n := range runs {
		rnd := rand.New(rand.NewPCG(uint64(n), 1))
		var below driver.Driver = memory.New(nil)
		if n%2 == 0 {
			var err error
			below, err = disk.New(t.TempDir(), &disk.Options{NoSync: true})
			require.NoError(t, err)
		}
		dst := newDestination(t, below)
		tr, m := randomTree(t, rnd)
		at := fmt.Sprintf("run %d", n)
		for kill := range 3 {
			faulty := drivertest.NewFaulty(below, nil)
			var dying driver.Driver = faulty
			if a, ok := below.(driver.Adopter); ok {
				dying = linking{faulty, a}
			}
			victim := newDestination(t, dying)
			faulty.CutAfter(rnd.IntN(100))
			_, err := victim.try(tr, &importer.Options{Parallel: 1 + rnd.IntN(4)})
			if faulty.Cut() {
				require.Error(t, err)
			}
			dst = newDestination(t, below) // as another process
			m.check(dst, false, at)
			_, err = dst.store.Collect(t.Context(), &storage.CollectOptions{Grace: -1})
			require.NoError(t, err)
			repo := "app0"
			if kill < 2 { // tags that may have been set move, and move again
				m.previous(t, dst, tr, repo, rnd)
			}
		}
		rep := dst.run(tr, &importer.Options{Verify: importer.VerifyFull})
		require.Empty(t, rep.Problems, at)
		m.check(dst, true, at)
		if d, ok := below.(*disk.Driver); ok {
			require.NoError(t, d.Close())
		}
	}
}

// previous moves a tag of the source that the destination may have already. Until the next Run, the
// destination may have either.
func (m model) previous(t *testing.T, dst *destination, tr *tree, repo string, rnd *rand.Rand) {
	m.set(tr, repo, "v1", tr.image(repo, tr.layer(repo, random(rnd.IntN(2*large)))).Digest, time.Time{})
	dst.run(tr, &importer.Options{DryRun: true})
	if dst.tagged(repo, "v1") != "" {
		rep := dst.run(tr, nil)
		require.Empty(t, rep.Problems)
	}
}

// TestContextEnds: a Run ends with the error of its context, and another one continues.
func TestContextEnds(t *testing.T) {
	tr, m := randomTree(t, rand.New(rand.NewPCG(1, 2)))
	dst := onDisk(t)
	src, err := importer.OpenDir(tr.dir)
	require.NoError(t, err)
	defer func() { _ = src.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	stopping := &meddling{Source: src, open: func(n int64, _ string) {
		if n == 20 {
			cancel()
		}
	}}
	rep, err := importer.Run(ctx, dst.store, dst.driver, stopping, nil)
	require.ErrorIs(t, err, context.Canceled)
	require.NotNil(t, rep)
	require.Empty(t, rep.Problems)
	m.check(dst, false, "cancelled")
	dst.run(tr, nil)
	m.check(dst, true, "continued")
}

// meddling is a source that calls a function before each file is opened.
type meddling struct {
	importer.Source
	calls atomic.Int64
	open  func(n int64, name string)
}

func (s *meddling) Open(ctx context.Context, name string) (*importer.File, error) {
	s.open(s.calls.Add(1), name)
	return s.Source.Open(ctx, name)
}

func (s *meddling) ReadFile(ctx context.Context, name string, limit int64) ([]byte, time.Time, error) {
	s.open(s.calls.Add(1), name)
	return s.Source.ReadFile(ctx, name, limit)
}

// TestSourceVanishes removes random files of the source during the Run, as its garbage collection does.
// The report has damage, and what is visible is whole.
func TestSourceVanishes(t *testing.T) {
	for n := range 3 {
		rnd := rand.New(rand.NewPCG(uint64(n), 3))
		tr, m := randomTree(t, rnd)
		dst := onDisk(t)
		src, err := importer.OpenDir(tr.dir)
		require.NoError(t, err)
		var files []string
		require.NoError(t, filepath.WalkDir(tr.dir, func(path string, e fs.DirEntry, err error) error {
			if !e.IsDir() {
				files = append(files, path)
			}
			return err
		}))
		var mu sync.Mutex
		sweeping := &meddling{Source: src, open: func(int64, string) {
			mu.Lock()
			defer mu.Unlock()
			if rnd.IntN(10) == 0 {
				_ = os.Remove(files[rnd.IntN(len(files))])
			}
		}}
		_, err = importer.Run(t.Context(), dst.store, dst.driver, sweeping, &importer.Options{Verify: importer.VerifyFull})
		require.NoError(t, err)
		m.check(dst, false, fmt.Sprintf("run %d", n))
		require.NoError(t, src.Close())
	}
}

// TestSourceFails: an error that concerns the whole source ends the Run.
func TestSourceFails(t *testing.T) {
	tr, _ := randomTree(t, rand.New(rand.NewPCG(1, 4)))
	src, err := importer.OpenDir(tr.dir)
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(tr.path("repositories")))
	dst := inMemory(t)
	_, err = importer.Run(t.Context(), dst.store, dst.driver, src, nil)
	require.ErrorContains(t, err, "repositories")
	require.NoError(t, src.Close())
	_, err = importer.Run(t.Context(), dst.store, dst.driver, src, nil)
	require.Error(t, err)
}

// truncating is a source whose layers end early, or whose reads fail.
type truncating struct {
	importer.Source
	fail error
}

func (s *truncating) Open(ctx context.Context, name string) (*importer.File, error) {
	f, err := s.Source.Open(ctx, name)
	if err == nil {
		var tail io.Reader = strings.NewReader("")
		if s.fail != nil {
			tail = io.MultiReader(tail, failing{s.fail})
		}
		f.ReadCloser = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(f.ReadCloser, f.Size/2), tail), f.ReadCloser}
		f.Adoptable = nil
	}
	return f, err
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestSourceLies: a source that sends less than it has announced, or fails while it is read.
func TestSourceLies(t *testing.T) {
	for _, fail := range []error{nil, errors.New("input/output error")} {
		tr := newTree(t)
		tr.tag("r", "v1", tr.image("r", tr.layer("r", random(large))).Digest, start)
		src, err := importer.OpenDir(tr.dir)
		require.NoError(t, err)
		dst := inMemory(t)
		rep, err := importer.Run(t.Context(), dst.store, dst.driver, &truncating{src, fail},
			&importer.Options{TaggedOnly: true})
		require.NoError(t, err)
		p := problem(t, rep)
		if fail == nil {
			require.Equal(t, importer.ProblemDigest, p.Kind)
		} else {
			require.Equal(t, importer.ProblemRead, p.Kind)
			require.Equal(t, "input/output error", p.Message)
		}
		require.Empty(t, dst.tagged("r", "v1"))
		require.NoError(t, src.Close())
	}
}

// TestPushesDuringImport: clients push to the destination while the import runs again and again, and
// the old registry is pushed to as well. No push to the destination is undone.
func TestPushesDuringImport(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 5))
	dst := onDisk(t)
	tr, _ := randomTree(t, rnd)
	dst.run(tr, nil)
	images := map[string][]digest.Digest{}
	for i := range 3 {
		repo := strings.Repeat("sub/", i) + fmt.Sprintf("app%d", i)
		for range 3 {
			images[repo] = append(images[repo], tr.image(repo, tr.layer(repo, random(500))).Digest)
		}
	}
	dst.run(tr, nil)
	pushed := map[string]digest.Digest{}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		rnd := rand.New(rand.NewPCG(2, 5))
		for range 60 {
			repo := []string{"app0", "sub/app1", "sub/sub/app2"}[rnd.IntN(3)]
			tag, d := fmt.Sprintf("v%d", rnd.IntN(3)), images[repo][rnd.IntN(3)]
			dst.push(repo, tag, d)
			pushed[repo+":"+tag] = d
		}
		stop()
	})
	for ctx.Err() == nil {
		for repo, all := range images {
			tr.tag(repo, fmt.Sprintf("v%d", rnd.IntN(3)), all[rnd.IntN(3)], time.Time{})
		}
		dst.run(tr, nil)
	}
	wg.Wait()
	for ref, d := range pushed {
		repo, tag, _ := strings.Cut(ref, ":")
		require.Equal(t, d, dst.tagged(repo, tag), ref)
	}
}

// TestOldRegistryIsRemoved: after the switch, the old tree can be deleted, and what was linked stays. In
// the other order too: the new registry deletes its blobs, and the old tree is as it was.
func TestOldRegistryIsRemoved(t *testing.T) {
	tr, m := randomTree(t, rand.New(rand.NewPCG(1, 6)))
	sums := func() map[string]digest.Digest {
		all := map[string]digest.Digest{}
		require.NoError(t, filepath.WalkDir(tr.dir, func(path string, e fs.DirEntry, err error) error {
			if !e.IsDir() {
				b, err := os.ReadFile(path)
				require.NoError(t, err)
				fi, err := e.Info()
				require.NoError(t, err)
				all[path+fi.ModTime().String()+fi.Mode().String()] = digest.FromBytes(b)
			}
			return err
		}))
		return all
	}
	before := sums()
	other := onDisk(t)
	require.NotZero(t, other.run(tr, nil).Layers.Linked)
	var repos []string
	for repo, err := range other.store.Repositories(t.Context(), nil) {
		require.NoError(t, err)
		repos = append(repos, repo)
	}
	for _, repo := range slices.Backward(repos) {
		require.NoError(t, other.store.DeleteRepository(t.Context(), repo, nil))
	}
	_, err := other.store.Collect(t.Context(), &storage.CollectOptions{Grace: -1})
	require.NoError(t, err)
	require.Equal(t, before, sums(), "the import has changed nothing")

	dst := onDisk(t)
	dst.run(tr, nil)
	require.NoError(t, os.RemoveAll(tr.dir))
	m.check(dst, true, "without the old tree")
	_, err = dst.store.StatManifest(t.Context(), "app0", reference.Ref{Tag: "v0"}, nil)
	require.NoError(t, err)
}

// TestLinkNever: no file is shared.
func TestLinkNever(t *testing.T) {
	tr, m := randomTree(t, rand.New(rand.NewPCG(1, 7)))
	dst := onDisk(t)
	rep := dst.run(tr, &importer.Options{Link: importer.LinkNever})
	require.Zero(t, rep.Layers.Linked)
	m.check(dst, true, "")
}
