package upstream_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client/login"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror/internal/fill"
	"github.com/registrykit/registry/mirror/internal/upstream"
	"github.com/registrykit/registry/reference"
)

// randomFault returns one of all kinds of faults.
func randomFault(r *rand.Rand) upstreamtest.Fault {
	faults := []upstreamtest.Fault{
		upstreamtest.Status(500), upstreamtest.Status(502), upstreamtest.Status(503, "Retry-After", "9"),
		upstreamtest.Status(401), upstreamtest.Status(403), upstreamtest.Status(404), upstreamtest.Status(410),
		upstreamtest.Status(429, "Retry-After", "3"), upstreamtest.Status(400), upstreamtest.Status(416),
		upstreamtest.Flip(r.IntN(50)), upstreamtest.Short(1 + r.IntN(50)), upstreamtest.Long(1 + r.IntN(50)),
		upstreamtest.Cut(int64(r.IntN(3000))), upstreamtest.HangHeader(), upstreamtest.HangBody(int64(r.IntN(3000))),
		upstreamtest.NoRanges(), upstreamtest.NoLength(), upstreamtest.Gzip(), upstreamtest.ETag(`"x"`),
		upstreamtest.ETag(""), upstreamtest.Delay(8 * time.Second), upstreamtest.Slow(500, time.Second),
		upstreamtest.Redirect("/storage/DIGEST"), upstreamtest.Redirect("http://nowhere.test/DIGEST"),
		upstreamtest.Redirect("/v2/loop"), upstreamtest.Header("Docker-Content-Digest", "sha256:0"),
	}
	return faults[r.IntN(len(faults))]
}

// documented requires that an error is one that the doc comments list.
func documented(t *testing.T, err error) {
	for _, want := range []error{
		registry.ErrManifestUnknown, registry.ErrBlobUnknown, registry.ErrNameUnknown, registry.ErrTooManyRequests,
		registry.ErrUnavailable, registry.ErrUnsupported, registry.ErrRangeInvalid, upstream.ErrRefused,
		upstream.ErrContent, fill.ErrChanged, context.Canceled,
	} {
		if errors.Is(err, want) {
			return
		}
	}
	require.NoError(t, err, "undocumented")
}

// TestStorm: whatever the URLs do, a result is right or a documented error, every call ends, and when
// the URLs are well again, so is the upstream.
func TestStorm(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) { storm(t, seed) })
	}
}

func storm(t *testing.T, seed uint64) {
	u, servers := inMemory(t, 2, func(o *upstream.Options) {
		o.Requests = 4
		o.Source = login.Static(login.Credentials{Username: "u", Password: "p"})
	})
	layer := content(4000, seed)
	var desc registry.Manifest
	for _, s := range servers {
		desc.Descriptor, _ = s.Image("r", "1", layer)
		s.RequireLogin(only("u", "p"))
	}
	d := servers[0].Blob("r", layer).Digest
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		defer cancel()
		r := rand.New(rand.NewPCG(seed, 1))
		for range 60 {
			s := servers[r.IntN(2)]
			switch r.IntN(8) {
			case 0:
				s.SetDown(true)
			case 1, 2:
				s.SetDown(false)
				s.Repair()
			case 3:
				s.Revoke()
			default:
				kind := []upstreamtest.Kind{"", upstreamtest.Blob, upstreamtest.Manifest, upstreamtest.Token}[r.IntN(4)]
				s.Break(upstreamtest.Match{Kind: kind, Times: r.IntN(4)}, randomFault(r))
			}
			time.Sleep(time.Duration(r.IntN(5000)) * time.Millisecond)
		}
	})
	for i := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(10+i)))
			for ctx.Err() == nil {
				once(t, ctx, u, r, desc.Descriptor.Digest, d, layer)
				time.Sleep(time.Duration(r.IntN(1000)) * time.Millisecond)
			}
		})
	}
	wg.Wait()
	for _, s := range servers {
		s.Repair()
		s.SetDown(false)
	}
	time.Sleep(10 * time.Minute) // blames end
	for range 5 {
		require.NoError(t, stat(t.Context(), u, "r", "1"))
		_, b, err := fetch(t.Context(), u, "r", d, 0, "")
		require.NoError(t, err)
		same(t, layer, b)
	}
	require.False(t, u.Stats().Down)
}

// once makes a random call and checks its result.
func once(t *testing.T, ctx context.Context, u *upstream.Upstream, r *rand.Rand, manifest, blob digest.Digest,
	layer []byte) {
	switch r.IntN(5) {
	case 0:
		documented(t, stat(ctx, u, "r", "1"))
	case 1:
		m, err := u.GetManifest(ctx, "r", reference.Ref{Digest: manifest})
		documented(t, err)
		require.True(t, err != nil || m.Descriptor.Digest == manifest)
	case 2:
		_, _, err := u.Tags(ctx, "r", "", 10)
		documented(t, err)
	case 3:
		res, b, err := fetch(ctx, u, "r", blob, int64(r.IntN(len(layer))), "")
		documented(t, err)
		if err == nil && res.Size >= 0 {
			require.Equal(t, res.Size-res.Offset, int64(len(b)))
		}
	case 4:
		offset, length := int64(r.IntN(len(layer)-1)), int64(1+r.IntN(500))
		res, err := u.Blobs("r").FetchRange(ctx, blob, offset, length)
		documented(t, err)
		if err == nil {
			require.Equal(t, offset, res.Offset)
			require.NoError(t, res.Body.Close())
		}
	}
}
