package retention_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/retention"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

const newestThree = "rules:\n- {name: three, tags: [v*], keep: {newest: 3}}\n"

// runOn runs the job once, through a driver of its own.
func (w *world) runOn(ctx context.Context, d driver.Driver) (retention.Result, error) {
	s, err := storage.New(w.t.Context(), d, kept30)
	if err != nil {
		return retention.Result{}, err
	}
	rules, err := retention.Parse("rules.yaml", []byte(newestThree))
	if err != nil {
		return retention.Result{}, err
	}
	p, err := retention.New(s, d, rules, &w.opts)
	if err != nil {
		return retention.Result{}, err
	}
	res, err := p.Job(time.Hour, s).Run(ctx, &jobs.Progress{})
	result, _ := res.(retention.Result)
	return result, err
}

// TestJobAfterEachFailure: a run of the job that is killed anywhere leaves at least the newest three, and
// the next run completes it: nothing is left of what goes, although the tags of some of it are gone.
func TestJobAfterEachFailure(t *testing.T) {
	stride := 1
	if testing.Short() {
		stride = 7
	}
	for n := 1; ; n += stride {
		w := newWorld(t, kept30)
		shared := w.image()
		for i := range 5 {
			index := w.index(fmt.Sprintf("v%d", i), w.image(), shared)
			w.referrer(index, "text/plain")
		}
		faulty := drivertest.NewFaulty(w.driver, nil)
		faulty.CutAfter(n)
		_, err := w.runOn(t.Context(), faulty)
		tags, _ := w.content()
		require.GreaterOrEqual(t, len(tags), 3, n)
		requireWhole(t, w.store)
		_, again := w.runOn(t.Context(), w.driver)
		require.NoError(t, again)
		tags, manifests := w.content()
		require.Len(t, tags, 3, n)
		require.Contains(t, tags, "v2")
		require.Len(t, manifests, 3*3+1, n)
		requireWhole(t, w.store)
		for info, err := range w.driver.List(t.Context(), "a/", nil) {
			require.NoError(t, err)
			require.Fail(t, "left", "%d: %s", n, info.Key)
		}
		if err == nil {
			require.Greater(t, n, 20)
			return
		}
	}
}

// TestJobTwice: runs at the same time, beside pushes of newer tags, never leave fewer than three, and leave
// the newest.
func TestJobTwice(t *testing.T) {
	w := newWorld(t, kept30)
	for i := range 12 {
		w.image(fmt.Sprintf("v%02d", i))
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				if _, err := w.runOn(context.Background(), w.driver); err != nil {
					t.Errorf("run: %v", err)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for i := 12; i < 40; i++ {
		w.image(fmt.Sprintf("v%02d", i))
		tags, _ := w.content()
		require.GreaterOrEqual(t, len(tags), 3)
		require.Contains(t, tags, fmt.Sprintf("v%02d", i))
		require.Contains(t, tags, fmt.Sprintf("v%02d", i-1))
		require.Contains(t, tags, fmt.Sprintf("v%02d", i-2))
	}
	close(stop)
	wg.Wait()
	_, err := w.runOn(t.Context(), w.driver)
	require.NoError(t, err)
	tags, manifests := w.content()
	require.Len(t, tags, 3)
	require.Len(t, manifests, 3)
	requireWhole(t, w.store)
}

// TestJobLostLease: a run whose context ends stops with the cause.
func TestJobLostLease(t *testing.T) {
	w := newWorld(t, kept30)
	for i := range 12 {
		w.image(fmt.Sprintf("v%02d", i))
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	before := func(_ context.Context, c drivertest.Call) error {
		if c.Op == "Delete" {
			cancel(jobs.ErrLost)
		}
		return nil
	}
	d := drivertest.NewFaulty(w.driver, &drivertest.FaultyOptions{Before: before})
	_, err := w.runOn(ctx, d)
	require.ErrorIs(t, err, jobs.ErrLost)
	tags, _ := w.content()
	require.GreaterOrEqual(t, len(tags), 3)
	require.Contains(t, tags, "v11")
	_, err = w.runOn(t.Context(), w.driver)
	require.NoError(t, err)
	tags, manifests := w.content()
	require.Len(t, tags, 3)
	require.Len(t, manifests, 3)
}
