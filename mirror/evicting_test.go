package mirror_test

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// TestEviction: Run evicts the images that were not pulled for longest, but not pinned ones, and an
// evicted image is fetched again.
func TestEviction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		store, err := storage.New(t.Context(), d, nil)
		require.NoError(t, err)
		up := upstreamtest.NewInMemory(t, "localhost")
		r := &rig{t: t, up: up, store: store}
		r.restart(d, func(u *mirror.Upstream, o *mirror.Options) {
			u.Transport, o.MaxSize = upstreamtest.Transport(t, up), 350_000
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.m.Run(ctx) }()
		for i := range 6 {
			tag := "v" + strconv.Itoa(i)
			r.up.Image("a/app", tag, random(100_000))
			_, err := r.pull(ctx, repo, tag)
			require.NoError(t, err)
			if i == 0 {
				require.NoError(t, r.m.Pin(ctx, repo, byTag(tag)))
			}
			time.Sleep(time.Hour)
		}
		s := r.m.Stats()
		require.LessOrEqual(t, s.Size, int64(350_000))
		require.NotZero(t, s.Size)
		require.GreaterOrEqual(t, s.Evicted, int64(200_000))
		require.NotZero(t, s.SizeAt)
		for tag, there := range map[string]bool{"v0": true, "v1": false, "v5": true} {
			_, err := r.store.StatManifest(ctx, repo, byTag(tag), nil)
			if there {
				require.NoError(t, err, tag)
			} else {
				require.ErrorIs(t, err, registry.ErrManifestUnknown, tag)
			}
		}
		r.up.Forget()
		_, err = r.pull(ctx, repo, "v1")
		require.NoError(t, err)
		require.Equal(t, 1, r.up.Count("GET", upstreamtest.Manifest))
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	})
}
