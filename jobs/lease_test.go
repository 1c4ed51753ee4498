package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// TestRunReplicasTakeTurns: three replicas together run a job once in each interval, never two at a
// time, whatever their clocks show.
func TestRunReplicasTakeTurns(t *testing.T) {
	for name, skew := range map[string][3]time.Duration{
		"same clock": {},
		"wrong":      {0, 1000 * time.Hour, -1000 * time.Hour},
		"slightly":   {0, 40 * time.Second, -40 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newMemory()
				var w runs
				for i, by := range skew {
					replica := fmt.Sprint(i)
					start(t, newRunner(t, skewed{d, by}, replica, w.job(replica, time.Hour, 20*time.Minute)))
				}
				pass(24 * time.Hour)
				require.Zero(t, w.overlap)
				require.GreaterOrEqual(t, w.count(), 10)
				if name != "wrong" { // a clock that is ahead makes the job due too early
					require.InDelta(t, 18, w.count(), 1, "one run in 80 minutes")
				}
			})
		})
	}
}

// TestRunHolderDies: if the process that runs a job is cut off, its run is told to end, and then
// another replica takes over, within the time of the lease and a poll.
func TestRunHolderDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemory()
		var w runs
		cut := drivertest.NewFaulty(d, nil)
		start(t, newRunner(t, cut, "first", w.job("first", time.Hour, 10*time.Minute)))
		synctest.Wait()
		require.Equal(t, 1, w.count())
		start(t, newRunner(t, d, "second", w.job("second", time.Hour, 10*time.Minute)))
		pass(5 * time.Minute)
		require.Equal(t, "first", state(t, newRunner(t, d, ""), "work").Holder)
		cut.CutAfter(0)
		pass(2 * jobs.DefaultLease)
		require.Equal(t, 2, w.count())
		require.Zero(t, w.overlap)
		s := state(t, newRunner(t, d, ""), "work")
		require.Equal(t, "second", s.Holder)
		require.True(t, s.Running)
		require.Contains(t, s.Error, "process that ran the job ended")
	})
}

// TestRunKillingJobWaitsLonger: a job that kills its process each time is tried again later and
// later, and not for ever at once.
func TestRunKillingJobWaitsLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemory()
		var starts []time.Duration
		begin := time.Now()
		for n := range 6 {
			process := drivertest.NewFaulty(d, nil)
			started := make(chan struct{})
			r := newRunner(t, process, fmt.Sprint(n), jobs.Job{Name: "bad", Every: 24 * time.Hour,
				Run: func(ctx context.Context, _ *jobs.Progress) (any, error) {
					starts = append(starts, time.Since(begin))
					process.CutAfter(0)
					close(started)
					<-ctx.Done()
					return nil, ctx.Err()
				}})
			stop := start(t, r)
			<-started
			stop()
		}
		require.Less(t, starts[1], 2*time.Minute)
		require.Greater(t, starts[5]-starts[4], 7*time.Minute)
		require.Less(t, starts[5], time.Hour)
	})
}

// TestRunLostResponses: whichever write of a run loses its response, the job runs once in each
// interval.
func TestRunLostResponses(t *testing.T) {
	for n := 1; n <= 8; n++ {
		for name, fail := range map[string]func(*drivertest.Faulty, int){
			"lost": (*drivertest.Faulty).LoseResponse, "failed": (*drivertest.Faulty).FailWrite,
		} {
			synctest.Test(t, func(t *testing.T) {
				var w runs
				f := drivertest.NewFaulty(newMemory(), nil)
				fail(f, n)
				r := newRunner(t, f, "a", w.job("a", time.Hour, 90*time.Second))
				start(t, r)
				pass(time.Second)
				if n > 1 || name == "lost" {
					require.Equal(t, 1, w.count(), "it begins at once")
				}
				pass(30 * time.Minute)
				require.Equal(t, 1, w.count(), "write %d", n)
				s := state(t, r, "work")
				require.False(t, s.Running)
				require.JSONEq(t, `"a"`, string(s.Result))
				pass(time.Hour)
				require.Equal(t, 2, w.count(), "write %d", n)
			})
		}
	}
}

// TestRunStorageDown: a run whose storage is down is told to end before another replica can take
// over, unless the job keeps going. Then its end is recorded later.
func TestRunStorageDown(t *testing.T) {
	for _, keepGoing := range []bool{false, true} {
		t.Run(fmt.Sprint(keepGoing), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var down atomic.Bool
				f := drivertest.NewFaulty(newMemory(), &drivertest.FaultyOptions{
					Before: func(ctx context.Context, _ drivertest.Call) error {
						if down.Load() {
							<-ctx.Done() // it hangs
							return driver.ErrUnavailable
						}
						return nil
					}})
				begin := time.Now()
				var ended list[time.Duration]
				var causes list[error]
				var ran atomic.Int64
				r := newRunner(t, f, "a", jobs.Job{Name: "work", Every: time.Hour, KeepGoing: keepGoing,
					Run: func(ctx context.Context, _ *jobs.Progress) (any, error) {
						ran.Add(1)
						select {
						case <-ctx.Done():
						case <-time.After(10 * time.Minute):
						}
						ended.add(time.Since(begin))
						causes.add(context.Cause(ctx))
						return "done", context.Cause(ctx)
					}})
				start(t, r)
				pass(10 * time.Second)
				down.Store(true)
				pass(19 * time.Minute)
				down.Store(false)
				pass(2 * time.Minute)
				s := state(t, r, "work")
				if keepGoing {
					require.NoError(t, causes.all()[0])
					require.Equal(t, 10*time.Minute, ended.all()[0])
					require.JSONEq(t, `"done"`, string(s.Result))
					require.EqualValues(t, 1, ran.Load())
					require.Zero(t, s.Failures)
					return
				}
				require.ErrorIs(t, causes.all()[0], jobs.ErrLost)
				require.Less(t, ended.all()[0], jobs.DefaultLease)
				require.GreaterOrEqual(t, s.Failures, 1)
				require.EqualValues(t, 2, ran.Load(), "it is tried again when the storage is back")
			})
		})
	}
}

// TestRunFullStorage: a job that frees space runs although its lease cannot be written; another job
// does not, and says why.
func TestRunFullStorage(t *testing.T) {
	for _, frees := range []bool{false, true} {
		t.Run(fmt.Sprint(frees), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := memory.New(&memory.Options{MaxBytes: 10_000})
				put(t, d, "data/full", string(make([]byte, 9_990)))
				var errs list[error]
				var ran atomic.Int64
				r := newRunner(t, d, "a", jobs.Job{Name: "work", Every: time.Hour, FreesSpace: frees,
					Run: func(ctx context.Context, _ *jobs.Progress) (any, error) {
						if ran.Add(1) == 2 {
							return nil, d.Delete(ctx, "data/full", "")
						}
						return nil, nil
					}, Done: func(_ any, err error) { errs.add(err) }})
				start(t, r)
				pass(150 * time.Minute)
				if !frees {
					require.Zero(t, ran.Load())
					require.ErrorIs(t, errs.all()[0], driver.ErrNoSpace)
					return
				}
				require.EqualValues(t, 3, ran.Load(), "once an hour")
				require.Equal(t, []error{nil, nil, nil}, errs.all())
				require.WithinDuration(t, time.Now().Add(-30*time.Minute), state(t, r, "work").Ended, 0)
			})
		})
	}
}

// TestRunBesideEarlierVersion: records of earlier versions have three fields only. Such a program
// takes the lease after its end, and a run of this version that loses its lease to it goes on if it
// may.
func TestRunBesideEarlierVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemory()
		var w runs
		r := newRunner(t, d, "a", w.job("a", time.Hour, 2*time.Minute))
		old := func(until, done time.Duration) {
			stamp := func(d time.Duration) string {
				if d == 0 {
					return time.Time{}.Format(time.RFC3339Nano)
				}
				return time.Now().Add(d).Format(time.RFC3339Nano)
			}
			put(t, d, "lease/work", fmt.Sprintf(`{"nonce":"N%d","until":%q,"done":%q}`, rand.Int(), stamp(until), stamp(done)))
		}
		old(0, -30*time.Minute)
		start(t, r)
		synctest.Wait()
		s := state(t, r, "work")
		require.WithinDuration(t, time.Now().Add(-30*time.Minute), s.Ended, 0)
		require.WithinDuration(t, time.Now().Add(30*time.Minute), s.Next, 0)
		pass(31 * time.Minute)
		require.Equal(t, 1, w.count())
		require.NotEmpty(t, fields(t, d, "lease/work")["run"])

		old(50*time.Second, -2*time.Hour) // it believed that the lease had ended
		pass(30 * time.Second)
		require.Equal(t, 1, w.count(), "the other one runs")
		pass(40 * time.Second)
		require.Equal(t, 2, w.count(), "the other one has died")
		require.Zero(t, w.overlap)
	})
}

// TestRunAtMostOne runs a job in four replicas over a storage that fails, hangs, loses responses and
// delays requests at random, while replicas stop and start. A run begins only when the one before
// has ended, or has been told to end.
func TestRunAtMostOne(t *testing.T) {
	seeds := 60
	if testing.Short() {
		seeds = 10
	}
	total := 0
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			r := &random{Rand: rand.New(rand.NewPCG(uint64(seed), 1))}
			d := newMemory()
			var w runs
			var all sync.WaitGroup
			for n := range 4 {
				replica := fmt.Sprint(n)
				all.Go(func() {
					for range 8 {
						ctx, cancel := context.WithTimeout(t.Context(), r.upTo(10*time.Minute))
						runner := newRunner(t, drivertest.NewFaulty(d, r.faults()), replica,
							w.job(replica, time.Minute, r.upTo(4*time.Minute)))
						if err := runner.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
							t.Error(err)
						}
						cancel()
						time.Sleep(r.upTo(time.Minute))
					}
				})
			}
			all.Wait()
			require.Zero(t, w.overlap, "seed %d", seed)
			total += w.count()
		})
	}
	require.Greater(t, total, 5*seeds)
	t.Log(total, "runs")
}

// random is a source of faults that goroutines share.
type random struct {
	mu sync.Mutex
	*rand.Rand
}

func (r *random) upTo(d time.Duration) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Duration(r.Int64N(int64(d)))
}

func (r *random) oneIn(n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.IntN(n) == 0
}

// faults returns faults of a storage in a bad state.
func (r *random) faults() *drivertest.FaultyOptions {
	delay := func(ctx context.Context) {
		select {
		case <-ctx.Done():
		case <-time.After(r.upTo(90 * time.Second)):
		}
	}
	return &drivertest.FaultyOptions{
		Before: func(ctx context.Context, _ drivertest.Call) error {
			if r.oneIn(8) {
				delay(ctx)
			}
			if r.oneIn(8) {
				return driver.ErrUnavailable
			}
			return ctx.Err()
		},
		After: func(ctx context.Context, _ drivertest.Call, err error) error {
			if r.oneIn(8) {
				delay(ctx)
			}
			if r.oneIn(8) {
				return driver.ErrUnavailable
			}
			return err
		},
	}
}
