package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
)

// TestRunOnDisk runs a job in real time, in three replicas with drivers of their own on the same
// folder, while one of them is stopped and another process starts and cancels runs.
func TestRunOnDisk(t *testing.T) {
	dir := t.TempDir()
	open := func() driver.Driver {
		d, err := disk.New(dir, nil)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, d.Close()) })
		return d
	}
	var w runs
	var all sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer all.Wait()
	defer cancel()
	run := func(ctx context.Context, replica string) {
		r, err := jobs.New(open(), &jobs.Options{Holder: replica, Poll: 5 * time.Millisecond,
			Jobs: []jobs.Job{w.job(replica, 20*time.Millisecond, 10*time.Millisecond)}})
		require.NoError(t, err)
		all.Go(func() {
			if err := r.Run(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
	}
	first, stop := context.WithCancel(ctx)
	defer stop()
	run(first, "0")
	run(ctx, "1")
	run(ctx, "2")
	page, err := jobs.New(open(), nil)
	require.NoError(t, err)
	// Each request is a write. The pause lets the replicas come between them on a slow disk.
	runsMore := func() {
		for before := w.count(); w.count() <= before+20; time.Sleep(5 * time.Millisecond) {
			require.NoError(t, ctx.Err(), "no further runs")
			err := page.Start(t.Context(), "work")
			require.True(t, err == nil || errors.Is(err, jobs.ErrUnknown), fmt.Sprint(err))
			err = page.Cancel(t.Context(), "work")
			require.True(t, err == nil || errors.Is(err, jobs.ErrUnknown) || errors.Is(err, jobs.ErrNotRunning), fmt.Sprint(err))
		}
	}
	runsMore()
	stop()
	runsMore()
	require.Zero(t, w.overlap)
}
