package jobs_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// TestStartFromAnotherProcess: a process that has no jobs starts one that runs only on request. One
// of the replicas runs it, within the time of a poll.
func TestStartFromAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemory()
		var w runs
		for _, replica := range []string{"a", "b", "c"} {
			start(t, newRunner(t, d, replica, w.job(replica, 0, time.Minute)))
		}
		page := newRunner(t, d, "page")
		synctest.Wait()
		require.ErrorIs(t, page.Start(t.Context(), "unknown"), jobs.ErrUnknown)
		require.ErrorIs(t, page.Start(t.Context(), "../layout"), jobs.ErrUnknown)
		pass(10 * time.Hour)
		require.Zero(t, w.count())
		require.True(t, state(t, page, "work").Next.IsZero())

		require.NoError(t, page.Start(t.Context(), "work"))
		require.NoError(t, page.Start(t.Context(), "work"), "one request is enough")
		require.WithinDuration(t, time.Now(), state(t, page, "work").Requested, 0)
		pass(jobs.DefaultPoll)
		require.Equal(t, 1, w.count())
		s := state(t, page, "work")
		require.True(t, s.Running)
		require.Zero(t, s.Requested)

		require.NoError(t, page.Start(t.Context(), "work"), "it runs once more afterwards")
		pass(30 * time.Second)
		require.Equal(t, 1, w.count())
		require.False(t, state(t, page, "work").Requested.IsZero())
		pass(2 * time.Minute)
		require.Equal(t, 2, w.count())
		pass(10 * time.Hour)
		require.Equal(t, 2, w.count())
		require.Zero(t, w.overlap)
	})
}

// TestStartHere: a job of this process begins at once, also before it is due.
func TestStartHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w runs
		r := newRunner(t, newMemory(), "a", w.job("a", 24*time.Hour, time.Minute))
		require.NoError(t, r.Start(t.Context(), "work"), "before Run")
		start(t, r)
		pass(2 * time.Minute)
		require.Equal(t, 1, w.count())
		require.NoError(t, r.Start(t.Context(), "work"))
		synctest.Wait()
		require.Equal(t, 2, w.count())
		pass(24 * time.Hour)
		require.Equal(t, 2, w.count())
		pass(2 * time.Minute)
		require.Equal(t, 3, w.count(), "the interval counts from the last run")
	})
}

// TestStartLostResponse: after a lost response, Start can be called again, and the job runs once.
func TestStartLostResponse(t *testing.T) {
	for n := 1; n <= 2; n++ {
		synctest.Test(t, func(t *testing.T) {
			d := newMemory()
			var w runs
			start(t, newRunner(t, d, "a", w.job("a", 0, 10*time.Second)))
			synctest.Wait()
			f := drivertest.NewFaulty(d, nil)
			page := newRunner(t, f, "page")
			f.LoseResponse(n)
			require.ErrorIs(t, page.Start(t.Context(), "work"), drivertest.ErrInjected)
			require.NoError(t, page.Start(t.Context(), "work"))
			pass(time.Minute)
			require.Equal(t, 1, w.count())
		})
	}
}

// TestStartManyAtOnce: many processes that request a run at the same time cause one run or two: the
// one that was requested, and another one if a request came after its begin.
func TestStartManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemory()
		var w runs
		start(t, newRunner(t, d, "a", w.job("a", 0, 10*time.Second)))
		synctest.Wait()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				r, err := jobs.New(d, nil)
				if err != nil || r.Start(t.Context(), "work") != nil {
					t.Error("not started")
				}
			})
		}
		all.Wait()
		pass(time.Minute)
		require.Contains(t, []int{1, 2}, w.count())
	})
}

// TestCancel: a run ends at once if it is in this process, and within a poll if it is in another
// one. The schedule goes on.
func TestCancel(t *testing.T) {
	for name, here := range map[string]bool{"here": true, "elsewhere": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newMemory()
				var w runs
				var causes list[error]
				job := w.job("a", time.Hour, 10*time.Minute)
				job.Done = func(_ any, err error) { causes.add(err) }
				r := newRunner(t, d, "a", job)
				page := r
				if !here {
					page = newRunner(t, d, "page")
				}
				start(t, r)
				pass(time.Minute)
				require.NoError(t, page.Cancel(t.Context(), "work"))
				if !here {
					pass(jobs.DefaultPoll)
				}
				synctest.Wait()
				require.ErrorIs(t, causes.all()[0], jobs.ErrCanceled)
				s := state(t, page, "work")
				require.False(t, s.Running)
				require.Contains(t, s.Error, "canceled on request")
				require.Zero(t, s.Failures)
				require.WithinDuration(t, s.Ended.Add(time.Hour), s.Next, 0)
				require.ErrorIs(t, page.Cancel(t.Context(), "work"), jobs.ErrNotRunning)
				require.ErrorIs(t, page.Cancel(t.Context(), "none"), jobs.ErrUnknown)
				pass(time.Hour + time.Second)
				require.Equal(t, 2, w.count())
				require.True(t, state(t, page, "work").Running)
			})
		})
	}
}

// TestCancelTakesRequestsBack: a run that is requested and has not begun does not begin, whether the
// job is idle or running.
func TestCancelTakesRequestsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemory()
		var w runs
		page := newRunner(t, d, "page")
		r := newRunner(t, d, "a", w.job("a", 0, 10*time.Minute))
		stop := start(t, r)
		synctest.Wait()
		stop()
		require.NoError(t, page.Start(t.Context(), "work"))
		require.NoError(t, page.Cancel(t.Context(), "work"))
		start(t, r)
		pass(time.Minute)
		require.Zero(t, w.count())
		require.NoError(t, page.Start(t.Context(), "work"))
		pass(time.Minute)
		require.NoError(t, page.Start(t.Context(), "work"))
		require.NoError(t, page.Cancel(t.Context(), "work"))
		pass(time.Hour)
		require.Equal(t, 1, w.count())
		require.False(t, state(t, page, "work").Running)
	})
}

// TestCancelDeadHolder: a run that was cancelled, and whose process died before it saw that, is not
// run again before it is due.
func TestCancelDeadHolder(t *testing.T) {
	for _, every := range []time.Duration{0, 5 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			d := newMemory()
			var w runs
			f := drivertest.NewFaulty(d, nil)
			start(t, newRunner(t, f, "a", w.job("a", every, 10*time.Minute)))
			page := newRunner(t, d, "page")
			synctest.Wait()
			if every == 0 {
				require.NoError(t, page.Start(t.Context(), "work"))
				pass(time.Minute)
			}
			f.CutAfter(0)
			require.NoError(t, page.Cancel(t.Context(), "work"))
			start(t, newRunner(t, d, "b", w.job("b", every, 10*time.Minute)))
			pass(4 * time.Hour)
			require.Equal(t, 1, w.count())
			require.NoError(t, page.Start(t.Context(), "work"))
			pass(2 * time.Minute)
			require.Equal(t, 2, w.count())
		})
	}
}

// TestCancelRunThatDoesNotListen: a run that returns without an error although it was cancelled has
// succeeded.
func TestCancelRunThatDoesNotListen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRunner(t, newMemory(), "a", jobs.Job{Name: "deaf", Every: time.Hour,
			Run: func(ctx context.Context, _ *jobs.Progress) (any, error) {
				time.Sleep(time.Minute)
				if !errors.Is(context.Cause(ctx), jobs.ErrCanceled) {
					return nil, errors.New("not cancelled")
				}
				return "done", nil
			}})
		start(t, r)
		synctest.Wait()
		require.NoError(t, r.Cancel(t.Context(), "deaf"))
		pass(2 * time.Minute)
		s := state(t, r, "deaf")
		require.Empty(t, s.Error)
		require.JSONEq(t, `"done"`, string(s.Result))
	})
}

// overtaken is a Driver for which somebody else writes an object just after it was found missing.
type overtaken struct {
	driver.Driver
	overtake func()
}

func (d overtaken) Open(ctx context.Context, key string, opts *driver.OpenOptions) (io.ReadCloser, driver.Info, error) {
	body, info, err := d.Driver.Open(ctx, key, opts)
	if errors.Is(err, driver.ErrNotExist) {
		d.overtake()
	}
	return body, info, err
}

// TestStartBeforeFirstLook: a request that is written while a process registers a job is not lost.
func TestStartBeforeFirstLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemory()
		var w runs
		page := newRunner(t, d, "page", w.job("page", 0, time.Minute))
		var once sync.Once
		start(t, newRunner(t, overtaken{d, func() {
			once.Do(func() { require.NoError(t, page.Start(t.Context(), "work")) })
		}}, "a", w.job("a", 0, time.Minute)))
		pass(time.Second)
		require.Equal(t, 1, w.count())
		require.True(t, state(t, page, "work").Running)
	})
}
