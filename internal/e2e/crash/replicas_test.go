package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// newFleet starts servers for a test, which ends them; a test that fails prints the end of their
// log.
func newFleet(t *testing.T, n int, o harness.Options) *harness.Fleet {
	t.Helper()
	f, err := harness.StartFleet(n, o)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, f.Stop())
		if t.Failed() {
			t.Logf("registry:\n%s", f.Servers()[0].Tail())
		}
	})
	return f
}

// TestReplicasOnDisk has three servers share a directory.
func TestReplicasOnDisk(t *testing.T) {
	dir := t.TempDir()
	replicas(t, 3, 12, time.Second, harness.Options{Storage: filepath.Join(dir, "data"), Log: filepath.Join(dir, "log"),
		Args: []string{"-log-level", "error"}})
}

// TestReplicasOnS3 has three servers share a bucket.
func TestReplicasOnS3(t *testing.T) {
	replicas(t, 3, 8, 4*time.Second, harness.Options{Bucket: harness.NewMinIO(t), Log: filepath.Join(t.TempDir(), "log"),
		Args: []string{"-log-level", "error"}})
}

// replicas sends every request to a random one of n servers, those of one upload included, and
// kills one server in each round, at a random time. The others continue until the end of the round,
// and must lose nothing.
func replicas(t *testing.T, n, rounds int, span time.Duration, o harness.Options) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	f := newFleet(t, n, o)
	all := newLedger()
	resumed := 0
	for round := range rounds {
		ctx, cancel := context.WithTimeout(t.Context(), span)
		var wg sync.WaitGroup
		for i := range workers {
			w := &worker{c: f.Client(), all: all, round: round, rng: rand.New(rand.NewPCG(rng.Uint64(), uint64(i))), goOn: true}
			wg.Go(func() { w.run(ctx) })
		}
		time.Sleep(time.Duration(rng.Int64N(int64(span))))
		_, err := f.Kill()
		require.NoError(t, err)
		<-ctx.Done()
		cancel()
		wg.Wait()
		check(t, f.Client(), all, round-recent)
		resumed += finishUploads(t, f.Client(), all)
		if t.Failed() {
			t.Fatalf("round %d of seed %d", round, seed)
		}
		require.NoError(t, f.Add(""))
	}
	check(t, f.Client(), all, -1)
	blobs, manifests, tags := all.counts()
	t.Logf("%d servers, %d rounds: %d blobs, %d manifests, %d tags acknowledged, %d torn uploads resumed, %d lost",
		n, rounds, blobs, manifests, tags, resumed, all.lost)
	require.Positive(t, blobs)
	require.Positive(t, resumed)
	race(t, f)
}

// race pushes the same blobs and manifests, and different manifests under one tag, through all
// servers at once. Each push succeeds, and all servers agree on a manifest for the tag.
func race(t *testing.T, f *harness.Fleet) {
	const repo, pushers = "crash/race", 8
	shared := [][]byte{harness.RandomBytes(7, 2000), harness.RandomBytes(8, 300_000)}
	same := harness.Manifest("same", shared...)
	var mu sync.Mutex
	own := map[digest.Digest]bool{}
	var wg sync.WaitGroup
	errs := make([]error, pushers)
	for i := range pushers {
		wg.Go(func() {
			c := f.Client()
			errs[i] = func() error {
				for _, b := range shared {
					if _, err := c.PushBlob(t.Context(), repo, b); err != nil {
						return err
					}
				}
				if err := c.PutManifest(t.Context(), repo, "same", imagespec.MediaTypeImageManifest, same); err != nil {
					return err
				}
				for n := range 5 {
					m := harness.Manifest(fmt.Sprint(i, n), shared...)
					mu.Lock()
					own[digest.FromBytes(m)] = true
					mu.Unlock()
					if err := c.PutManifest(t.Context(), repo, "latest", imagespec.MediaTypeImageManifest, m); err != nil {
						return err
					}
				}
				return nil
			}()
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	named := map[string]bool{}
	for _, s := range f.Servers() {
		c := harness.NewClient(s.URL())
		r, err := c.Do(t.Context(), http.StatusOK, http.MethodGet, "/v2/"+repo+"/manifests/latest", harness.Accept(), nil)
		require.NoError(t, err)
		d := digest.FromBytes(r.Body)
		require.True(t, own[d], "latest names %s", d)
		named[d.String()] = true
		require.NoError(t, c.PullManifest(t.Context(), repo, "same", digest.FromBytes(same)))
		for d := range own {
			require.NoError(t, c.PullManifest(t.Context(), repo, d.String(), d))
		}
	}
	require.Len(t, named, 1, "all servers say the same")
}
