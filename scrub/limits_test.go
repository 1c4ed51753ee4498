package scrub_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/scrub"
	"github.com/registrykit/registry/storage/memory"
)

// fakeClock passes only while somebody sleeps.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(max(d, 0))
	return ctx.Err()
}

// TestLimits runs on a clock that only the limits move, so the time that a run takes is what they demand.
func TestLimits(t *testing.T) {
	d := memory.New(nil)
	f := newFixture(t, d, nil)
	run := func(o scrub.Options) *scrub.Report {
		c := &fakeClock{now: time.Unix(1000, 0)}
		o.Parallel, o.Settle = 1, -1
		scrub.WithClock(&o, c.Now, c.Sleep)
		return scrubbed(t, f.store, d, &o)
	}
	r := run(scrub.Options{})
	require.Zero(t, r.Seconds, "no limit")
	require.Greater(t, r.Bytes, int64(190_000))

	r = run(scrub.Options{Rate: 1000})
	// Records count, too. The last read is not waited for.
	require.GreaterOrEqual(t, r.Seconds, float64(r.Bytes-64<<10)/1000)
	require.Less(t, r.Seconds, 1.2*float64(r.Bytes)/1000)

	r = run(scrub.Options{Requests: 10})
	require.InDelta(t, float64(r.Requests)/10, r.Seconds, 0.5)
	require.Greater(t, r.Requests, int64(40))
}

// TestCost bounds the requests of a run.
func TestCost(t *testing.T) {
	d := memory.New(nil)
	f := newFixture(t, d, nil)
	r := scrubbed(t, f.store, d, reporting)
	blobs, manifests, tags, repos := r.Blobs, r.Manifests, r.Tags, r.Repositories
	segments := int64(1 + 3)
	limit := 3*blobs + segments + 2*manifests + 2*tags + 10*repos + 10
	require.LessOrEqual(t, r.Requests, limit)
}
