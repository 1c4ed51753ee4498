package quota_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/quota"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

var rounds = flag.Int("rounds", 6, "rounds of TestQuotaHolds")

// truth returns what the repositories of a prefix have, found by walking the storage.
func truth(t testing.TB, s *storage.Store, prefix string) (a quota.Amounts) {
	t.Helper()
	blobs, manifests := map[digest.Digest]bool{}, map[digest.Digest]bool{}
	repos := []string{prefix}
	for repo, err := range s.Inventory().Repositories(t.Context(), prefix) {
		require.NoError(t, err)
		repos = append(repos, repo)
	}
	for _, repo := range repos {
		some := false
		for b, err := range s.Inventory().Blobs(t.Context(), repo) {
			require.NoError(t, err)
			desc, err := s.StatBlob(t.Context(), repo, b.Digest, nil)
			if errors.Is(err, registry.ErrBlobUnknown) {
				continue
			}
			require.NoError(t, err)
			if some = true; !blobs[b.Digest] {
				a.Bytes += desc.Size
			}
			blobs[b.Digest] = true
		}
		for m, err := range s.Inventory().Manifests(t.Context(), repo) {
			require.NoError(t, err)
			desc, err := s.StatManifest(t.Context(), repo, reference.Ref{Digest: m.Digest}, nil)
			if errors.Is(err, registry.ErrManifestUnknown) {
				continue
			}
			require.NoError(t, err)
			if some = true; !manifests[m.Digest] {
				a.Bytes, a.Manifests = a.Bytes+desc.Size, a.Manifests+1
			}
			manifests[m.Digest] = true
		}
		for _, err := range s.Tags(t.Context(), repo, nil) {
			if !errors.Is(err, registry.ErrNameUnknown) {
				require.NoError(t, err)
				a.Tags++
			}
		}
		if some {
			a.Repositories++
		}
	}
	return a
}

// replica is a process with a quota over the common storage. Its driver fails on request.
type replica struct {
	*quota.Quotas
	store  *storage.Store
	driver *drivertest.Faulty
}

func newReplica(t testing.TB, d driver.Driver, limit quota.Limit) *replica {
	f := drivertest.NewFaulty(d, &drivertest.FaultyOptions{Before: func(context.Context, drivertest.Call) error {
		if rand.IntN(4) == 0 { // so that operations overlap
			time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
		}
		return nil
	}})
	s := newStore(t, f)
	return &replica{Quotas: quotasAround(t, s, s, f, nil, limit), store: s, driver: f}
}

// act does something at random.
func (r *replica) act(ctx context.Context, rng *rand.Rand) {
	repos := []string{"team", "team/a", "team/b", "team/c", "other"}
	repo, from := repos[rng.IntN(len(repos))], repos[rng.IntN(len(repos))]
	n := rng.IntN(20)
	content := random(n, 40*n)
	d := digest.FromBytes(content)
	switch rng.IntN(14) {
	case 0, 1, 2:
		_, _ = pushBlob(ctx, r, repo, content)
	case 3:
		r.pushWhole(ctx, repo, content)
	case 4:
		r.pushPieces(ctx, rng, repo, content)
	case 5, 6:
		_, _ = r.MountBlob(ctx, repo, d, &registry.MountOptions{From: from})
	case 7, 8:
		_ = registrytest.RandomImage(uint64(n), 1, 100).Push(ctx, r, repo, fmt.Sprint("v", rng.IntN(4)))
	case 9:
		_ = r.DeleteBlob(ctx, repo, d, nil)
	case 10:
		_ = r.DeleteManifest(ctx, repo, reference.Ref{Tag: fmt.Sprint("v", rng.IntN(4))}, nil)
	case 11:
		if rng.IntN(3) == 0 {
			_ = r.DeleteRepository(ctx, repo, nil)
		} else {
			_, _ = r.Restore(ctx, repo, reference.Ref{}, nil)
		}
	case 12:
		_, _ = r.store.Collect(ctx, &storage.CollectOptions{Grace: -1, Untagged: true, Exclusive: true})
	case 13:
		_ = r.Recount(ctx, "team")
	}
}

// pushWhole pushes a blob as a POST with a digest does.
func (r *replica) pushWhole(ctx context.Context, repo string, content []byte) {
	u, err := r.CreateUpload(ctx, repo, nil)
	if err == nil {
		_, _ = u.Commit(ctx, digest.FromBytes(content),
			&registry.Chunk{Length: int64(len(content)), Body: bytes.NewReader(content)})
	}
}

// pushPieces pushes a blob in pieces, some of unknown length, and may give up.
func (r *replica) pushPieces(ctx context.Context, rng *rand.Rand, repo string, content []byte) {
	d := digest.FromBytes(content)
	u, err := r.CreateUpload(ctx, repo, nil)
	if err != nil {
		return
	}
	for len(content) > 0 {
		piece := content[:1+rng.IntN(len(content))]
		length := int64(len(piece))
		if rng.IntN(2) == 0 {
			length = -1
		}
		n, err := u.Append(ctx, u.Size(), length, bytes.NewReader(piece))
		if err != nil || rng.IntN(20) == 0 {
			return
		}
		content = content[n:]
		if rng.IntN(8) == 0 {
			_ = u.Cancel(ctx)
			return
		}
	}
	var last *registry.Chunk
	if rng.IntN(2) == 0 {
		last = &registry.Chunk{Offset: u.Size(), Length: -1, Body: io.MultiReader(strings.NewReader(""))}
	}
	if rng.IntN(8) == 0 {
		d = digest.FromString("another")
	}
	_, _ = u.Commit(ctx, d, last)
}

// TestQuotaHolds: three replicas push, mount, delete, restore, collect and count at random, while their
// storage fails and they die. Whenever they pause, the prefix has no more than its limit, and no more than
// its figure. One more count makes the figure exact.
func TestQuotaHolds(t *testing.T) {
	limit := quota.Limit{Prefix: "team", Max: quota.Amounts{Bytes: 4000, Repositories: 3, Manifests: 4, Tags: 5}}
	refused, stored := 0, 0
	for seed := range *rounds {
		rng := rand.New(rand.NewPCG(uint64(seed), 1))
		d := memory.New(nil)
		sound := newReplica(t, d, limit)
		var replicas []*replica
		for range 3 {
			replicas = append(replicas, newReplica(t, d, limit))
		}
		for range 4 {
			for _, r := range replicas {
				disturb(r.driver, rng)
			}
			var all sync.WaitGroup
			for i := range 9 {
				own := rand.New(rand.NewPCG(rng.Uint64(), uint64(i)))
				all.Go(func() {
					for range 8 {
						replicas[i%3].act(t.Context(), own)
					}
				})
			}
			all.Wait()
			for i, r := range replicas {
				cut := r.driver.Cut()
				if r.driver.Heal(); cut { // the process has died
					replicas[i] = newReplica(t, d, limit)
				}
			}
			has := truth(t, sound.store, "team")
			state, err := sound.State(t.Context(), "team")
			require.NoError(t, err)
			for _, res := range []quota.Resource{quota.Bytes, quota.Repositories, quota.Manifests, quota.Tags} {
				require.LessOrEqual(t, has.Of(res), limit.Max.Of(res), "seed %d: %s", seed, res)
				require.LessOrEqual(t, has.Of(res), state.Used.Of(res), "seed %d: %s", seed, res)
			}
			stored += int(has.Bytes)
			if limit.Max.Bytes-state.Used.Bytes < 760 {
				refused++
			}
		}
		for _, r := range slices.Concat(replicas, []*replica{sound}) {
			require.NoError(t, r.Flush(t.Context()))
		}
		quota.ExpireAtOnce(sound.Quotas)
		require.NoError(t, sound.Recount(t.Context(), "team"))
		state, err := sound.State(t.Context(), "team")
		require.NoError(t, err)
		require.Equal(t, truth(t, sound.store, "team"), state.Used, "seed %d", seed)
		require.Zero(t, state.Pending)
	}
	require.Positive(t, refused)
	t.Logf("%d of %d pauses with little room, %d bytes on average", refused, *rounds*4, stored / *rounds / 4)
}

// disturb makes some of the next writes of a driver fail.
func disturb(d *drivertest.Faulty, rng *rand.Rand) {
	for range rng.IntN(6) {
		d.FailWrite(1 + rng.IntN(200))
		d.LoseResponse(1 + rng.IntN(200))
	}
	if rng.IntN(3) == 0 {
		d.CutAfter(rng.IntN(300))
	}
}
