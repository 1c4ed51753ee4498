package storage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// TestCollectEvery checks that two replicas together collect once in each interval, and that one
// continues when the other has ended.
func TestCollectEvery(t *testing.T) {
	d := newMemory(t)
	var done atomic.Int64
	start := func(ctx context.Context) <-chan error {
		s := newStore(t, d, nil)
		ended := make(chan error, 1)
		go func() {
			ended <- s.CollectEvery(ctx, &storage.ScheduleOptions{
				Every:   20 * time.Millisecond,
				Collect: storage.CollectOptions{Grace: -1},
				Done: func(r *storage.CollectReport, err error) {
					if err == nil && r != nil {
						done.Add(1)
					}
				},
			})
		}()
		return ended
	}
	ctx1, stop1 := context.WithCancel(t.Context())
	ctx2, stop2 := context.WithCancel(t.Context())
	first, second := start(ctx1), start(ctx2)
	pushBlob(t, newStore(t, d, nil), "r", random(1, 20_000))
	require.Eventually(t, func() bool { return done.Load() >= 5 && len(keys(t, d, "data/")) == 0 }, 20*time.Second,
		10*time.Millisecond)
	stop1()
	require.ErrorIs(t, <-first, context.Canceled)
	before := done.Load()
	require.Eventually(t, func() bool { return done.Load() > before+2 }, 20*time.Second, 10*time.Millisecond)
	stop2()
	require.ErrorIs(t, <-second, context.Canceled)

	require.ErrorIs(t, newStore(t, confined{d}, nil).CollectEvery(t.Context(),
		&storage.ScheduleOptions{Every: time.Hour}), storage.ErrSingleProcess)
	require.Error(t, newStore(t, d, nil).CollectEvery(t.Context(), &storage.ScheduleOptions{Every: -1}))
}

// TestCollectEveryDefaults checks that no options mean one collection at the start and one a day.
func TestCollectEveryDefaults(t *testing.T) {
	for name, opts := range map[string]*storage.ScheduleOptions{"nil": nil, "zero": {}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				leases := 0
				s := newStore(t, drivertest.NewFaulty(newMemory(t),
					&drivertest.FaultyOptions{Before: func(_ context.Context, c drivertest.Call) error {
						if c.Key == "lease/collect" && c.Op == "Put" {
							leases++
						}
						return nil
					}}), nil)
				ctx, cancel := context.WithTimeout(t.Context(), 25*time.Hour)
				defer cancel()
				require.ErrorIs(t, s.CollectEvery(ctx, opts), context.DeadlineExceeded)
				require.Equal(t, 2*2, leases, "two collections take a lease and release it")
			})
		})
	}
}

// TestCollectEveryRespectsLease checks that no process collects while another holds the lease.
// The lease of a process that has died expires, whatever the clock of that process was.
func TestCollectEveryRespectsLease(t *testing.T) {
	for name, lease := range map[string]struct {
		until, done time.Duration
		collects    bool
	}{
		"held":                 {until: 4 * time.Second},
		"done":                 {done: -time.Second},
		"given up":             {until: -time.Second, done: -2 * time.Hour, collects: true},
		"done in a far future": {done: 1000 * time.Hour},
		"never":                {done: -1000 * time.Hour, collects: true},
	} {
		t.Run(name, func(t *testing.T) {
			d := newMemory(t)
			b, err := json.Marshal(map[string]any{"until": time.Now().Add(lease.until), "done": time.Now().Add(lease.done)})
			require.NoError(t, err)
			_, err = d.Put(t.Context(), "lease/collect", bytes.NewReader(b), nil)
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			n := 0
			err = newStore(t, d, nil).CollectEvery(ctx, &storage.ScheduleOptions{Every: time.Hour,
				Done: func(_ *storage.CollectReport, err error) {
					require.NoError(t, err)
					n++
				}})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, lease.collects, n == 1)
		})
	}
}

// TestCollectRateLimitsRequests checks that Rate bounds the requests in a second, and that
// progress is reported during the collection.
func TestCollectRateLimitsRequests(t *testing.T) {
	s := newStore(t, newMemory(t), nil)
	require.NoError(t, newWorkload(t.Context(), s).run())
	var reports atomic.Int64
	r, err := s.Collect(t.Context(), &storage.CollectOptions{DryRun: true, Rate: 200,
		Progress: func(r storage.CollectReport) {
			reports.Add(1)
			if !r.DryRun {
				t.Error("the report is not that of a dry run")
			}
		}})
	require.NoError(t, err)
	require.Greater(t, r.Requests, int64(20))
	require.GreaterOrEqual(t, r.Duration, time.Duration(r.Requests-1)*time.Second/200)
	require.Greater(t, reports.Load(), int64(3))
	for _, bad := range []storage.CollectOptions{{Rate: -1}, {Parallel: -1}, {Memory: -1}} {
		_, err := s.Collect(t.Context(), &bad)
		require.Error(t, err)
	}
}

// TestCollectEveryRetriesSoon checks that an obstacle delays the collection of a process only
// once: by a minute, or by the interval. Obstacles are a wrong clock, a storage that does not
// respond, and a process that took the lease first and died.
func TestCollectEveryRetriesSoon(t *testing.T) {
	lease := func(until, done time.Duration) []byte {
		b, _ := json.Marshal(map[string]any{"until": time.Now().Add(until), "done": time.Now().Add(done)}) // cannot fail
		return append(b, '\n')
	}
	const every = 10 * time.Hour
	for name, row := range map[string]struct {
		before func() []byte // the lease when the process starts
		fail   error         // the error of the first call on the lease
		first  func() []byte // the lease that another process writes just before this one does
		within time.Duration
	}{
		"done in a far future": {before: func() []byte { return lease(-time.Second, 1000*time.Hour) }, within: every},
		"held by a far future": {before: func() []byte { return lease(1000*time.Hour, -1000*time.Hour) },
			within: time.Minute},
		"no response": {fail: driver.ErrUnavailable, within: time.Minute},
		"second":      {first: func() []byte { return lease(10*time.Second, -1000*time.Hour) }, within: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newMemory(t)
				write := func(b []byte) {
					_, err := d.Put(t.Context(), "lease/collect", bytes.NewReader(b), nil)
					require.NoError(t, err)
				}
				if row.before != nil {
					write(row.before())
				}
				asked, written := false, false
				s := newStore(t, drivertest.NewFaulty(d,
					&drivertest.FaultyOptions{Before: func(_ context.Context, c drivertest.Call) error {
						switch {
						case c.Key != "lease/collect":
						case !asked:
							asked = true
							return row.fail
						case c.Op == "Put" && row.first != nil && !written:
							written = true
							write(row.first())
						}
						return nil
					}}), nil)
				ctx, cancel := context.WithTimeout(t.Context(), row.within+time.Second)
				defer cancel()
				n := 0
				err := s.CollectEvery(ctx, &storage.ScheduleOptions{Every: every, Done: func(r *storage.CollectReport, err error) {
					if row.fail == nil {
						require.NoError(t, err)
					}
					if r != nil {
						n++
					}
				}})
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, 1, n)
			})
		})
	}
}

// TestCollectJob checks that the host can run collections in a Runner of its own, see their
// results, and start them on request from another process.
func TestCollectJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemory(t)
		s := newStore(t, d, nil)
		var reports atomic.Int64
		job, err := s.CollectJob(&storage.ScheduleOptions{
			Collect: storage.CollectOptions{Grace: -1},
			Done: func(r *storage.CollectReport, err error) {
				if err == nil && r != nil {
					reports.Add(1)
				}
			},
		})
		require.NoError(t, err)
		require.Equal(t, "collect", job.Name)
		require.Equal(t, 24*time.Hour, job.Every)
		r, err := jobs.New(d, &jobs.Options{Jobs: []jobs.Job{job}, Holder: "here"})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		synctest.Wait()
		require.EqualValues(t, 1, reports.Load())

		pushBlob(t, s, "r", random(1, 20_000))
		page, err := jobs.New(d, nil)
		require.NoError(t, err)
		require.NoError(t, page.Start(t.Context(), "collect"))
		time.Sleep(time.Minute)
		synctest.Wait()
		require.EqualValues(t, 2, reports.Load())
		list, err := page.List(t.Context())
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Equal(t, "here", list[0].Holder)
		require.Empty(t, list[0].Error)
		var result map[string]float64
		require.NoError(t, json.Unmarshal(list[0].Result, &result))
		require.EqualValues(t, 1, result["removedBlobs"])
		require.EqualValues(t, 20_000, result["removedBytes"])
		require.Equal(t, list[0].Progress, list[0].Result, "the last progress is the result")
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)

		_, err = newStore(t, confined{d}, nil).CollectJob(nil)
		require.ErrorIs(t, err, storage.ErrSingleProcess)
		_, err = s.CollectJob(&storage.ScheduleOptions{Every: -1})
		require.Error(t, err)
	})
}
