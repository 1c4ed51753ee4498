// Package crash kills the real server with SIGKILL in the middle of pushes, starts it again on the
// same folder, and checks that all acknowledged content is there and whole.
package crash

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

const (
	rounds  = 50
	workers = 6
	// Checks read back everything of this many rounds. The last check reads everything.
	recent = 3
)

func TestKill(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))

	server := harness.New(t, harness.Options{Storage: filepath.Join(dir, "data"), Log: log,
		Args: []string{"-log-level", "error"}})
	addr := server.Addr
	all := newLedger()
	var resumed int
	for round := range rounds {
		killAt := time.Duration(20+rng.IntN(600)) * time.Millisecond
		push(t, server.URL(), round, rng.Uint64(), all, killAt, server)

		server = harness.New(t, harness.Options{
			Addr: addr, Storage: filepath.Join(dir, "data"), Log: log, Args: []string{"-log-level", "error"}})
		c := harness.NewClient(server.URL())
		check(t, c, all, round-recent)
		resumed += finishUploads(t, c, all)
		if t.Failed() {
			t.Fatalf("round %d of seed %d", round, seed)
		}
	}
	check(t, harness.NewClient(server.URL()), all, -1)
	blobs, manifests, tags := all.counts()
	t.Logf("%d rounds: %d blobs, %d manifests, %d tags acknowledged, %d torn uploads resumed, %d lost",
		rounds, blobs, manifests, tags, resumed, all.lost)
	require.Positive(t, blobs)
	require.Positive(t, manifests)
	require.Positive(t, resumed)
}

// push lets workers push until the server is killed under them.
func push(t *testing.T, base string, round int, seed uint64, all *ledger, killAt time.Duration,
	server *harness.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for n := range workers {
		w := &worker{
			c: harness.NewClient(base), all: all, round: round,
			rng: rand.New(rand.NewPCG(seed, uint64(n))),
		}
		wg.Go(func() { w.run(ctx) })
	}
	time.Sleep(killAt)
	require.NoError(t, server.Kill())
	cancel()
	wg.Wait()
}
