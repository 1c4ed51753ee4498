package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

func nothing(context.Context, *jobs.Progress) (any, error) { return nil, nil }

func TestNewRefusesInvalidOptions(t *testing.T) {
	for name, opts := range map[string]jobs.Options{
		"no name":        {Jobs: []jobs.Job{{Run: nothing}}},
		"upper case":     {Jobs: []jobs.Job{{Name: "Scrub", Run: nothing}}},
		"slash":          {Jobs: []jobs.Job{{Name: "a/b", Run: nothing}}},
		"dot":            {Jobs: []jobs.Job{{Name: ".", Run: nothing}}},
		"tilde":          {Jobs: []jobs.Job{{Name: "~requests", Run: nothing}}},
		"long":           {Jobs: []jobs.Job{{Name: strings.Repeat("a", 65), Run: nothing}}},
		"twice":          {Jobs: []jobs.Job{{Name: "a", Run: nothing}, {Name: "a", Run: nothing}}},
		"no function":    {Jobs: []jobs.Job{{Name: "a"}}},
		"negative every": {Jobs: []jobs.Job{{Name: "a", Run: nothing, Every: -1}}},
		"short lease":    {Lease: time.Millisecond},
		"negative poll":  {Poll: -1},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := jobs.New(newMemory(), &opts)
			require.Error(t, err)
		})
	}
	_, err := jobs.New(nil, nil)
	require.Error(t, err)
	r, err := jobs.New(newMemory(), nil)
	require.NoError(t, err)
	list, err := r.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestRunTwiceFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRunner(t, newMemory(), "")
		stop := start(t, r)
		synctest.Wait()
		require.ErrorContains(t, r.Run(t.Context()), "already")
		stop()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, r.Run(ctx), context.DeadlineExceeded)
	})
}

// TestListShowsEveryJob follows the state of a job through two runs, as this process and another
// one see it.
func TestListShowsEveryJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemory()
		var fail atomic.Bool
		r := newRunner(t, d, "a", jobs.Job{Name: "scrub", Every: time.Hour,
			Run: func(_ context.Context, p *jobs.Progress) (any, error) {
				time.Sleep(61 * time.Second) // just after the third renewal
				p.Set(map[string]int{"percent": 50})
				time.Sleep(59 * time.Second)
				if fail.Load() {
					return nil, errors.New("it broke")
				}
				return map[string]int{"bad": 0}, nil
			}}, jobs.Job{Name: "other", Run: nothing})
		other := newRunner(t, d, "b")
		s := state(t, r, "scrub")
		require.True(t, s.Here)
		require.Equal(t, time.Hour, s.Every)
		require.WithinDuration(t, time.Now(), s.Next, 0)
		start(t, r)
		pass(62 * time.Second)
		began := time.Now().Add(-62 * time.Second)

		require.JSONEq(t, `{"percent":50}`, string(state(t, r, "scrub").Progress), "at once here")
		require.Nil(t, state(t, other, "scrub").Progress, "elsewhere at the next renewal")
		pass(20 * time.Second)
		s = state(t, other, "scrub")
		require.Equal(t, jobs.State{Name: "scrub", Every: time.Hour, Running: true, Holder: "a", Started: s.Started,
			Progress: s.Progress}, s)
		require.True(t, s.Started.Equal(began))
		require.JSONEq(t, `{"percent":50}`, string(s.Progress))

		pass(time.Minute)
		s = state(t, other, "scrub")
		require.False(t, s.Running)
		require.JSONEq(t, `{"bad":0}`, string(s.Result))
		require.WithinDuration(t, began.Add(2*time.Minute), s.Ended, 0)
		require.WithinDuration(t, began.Add(62*time.Minute), s.Next, 0)

		fail.Store(true)
		pass(62 * time.Minute)
		s = state(t, other, "scrub")
		require.Equal(t, "it broke", s.Error)
		require.Nil(t, s.Result)
		require.Equal(t, 1, s.Failures)
		require.WithinDuration(t, s.Ended.Add(time.Minute), s.Next, 0)
		fail.Store(false)
		pass(5 * time.Minute)
		s = state(t, other, "scrub")
		require.Empty(t, s.Error)
		require.Zero(t, s.Failures)
		require.True(t, state(t, other, "other").Next.IsZero(), "only on request")
	})
}

// TestRunFailedJobBacksOff: the waits after failed runs grow up to an hour.
func TestRunFailedJobBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var starts list[time.Time]
		start(t, newRunner(t, newMemory(), "", jobs.Job{Name: "bad", Every: 24 * time.Hour,
			Run: func(context.Context, *jobs.Progress) (any, error) {
				starts.add(time.Now())
				return nil, errors.New("it broke")
			}}))
		pass(4 * time.Hour)
		var waits []time.Duration
		at := starts.all()
		for i := range at[1:] {
			waits = append(waits, at[i+1].Sub(at[i]))
		}
		require.Equal(t, []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute,
			32 * time.Minute, time.Hour, time.Hour}, waits)
	})
}

// TestRunContainsPanics: a panic, runtime.Goexit and a result that is too large or has no JSON form
// are recorded, and the Runner goes on.
func TestRunContainsPanics(t *testing.T) {
	for name, row := range map[string]struct {
		run  func() any
		want string
	}{
		"panic":     {func() any { panic("oh no") }, "panic: oh no"},
		"nil panic": {func() any { panic(nil) }, "panic called with nil argument"}, //nolint:govet // on purpose
		"goexit":    {func() any { runtime.Goexit(); return nil }, "runtime.Goexit"},
		"large":     {func() any { return strings.Repeat("x", jobs.MaxSize) }, "the maximum is 16384"},
		"no JSON":   {func() any { return func() {} }, "unsupported type"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var errs list[error]
				ran := 0
				r := newRunner(t, newMemory(), "", jobs.Job{Name: "bad", Every: time.Hour,
					Run: func(_ context.Context, p *jobs.Progress) (any, error) {
						p.Set(strings.Repeat("x", jobs.MaxSize)) // ignored
						if ran++; ran > 1 {
							return "fine", nil
						}
						return row.run(), nil
					}, Done: func(_ any, err error) { errs.add(err) }})
				start(t, r)
				synctest.Wait()
				s := state(t, r, "bad")
				require.Contains(t, s.Error, row.want)
				require.Nil(t, s.Result)
				require.Nil(t, s.Progress)
				require.ErrorContains(t, errs.all()[0], row.want)
				var p *jobs.PanicError
				if errors.As(errs.all()[0], &p) {
					require.NotEmpty(t, p.Stack)
				}
				pass(time.Hour + time.Second)
				require.JSONEq(t, `"fine"`, string(state(t, r, "bad").Result))
				require.NoError(t, errs.all()[1])
			})
		})
	}
}

// TestRunShutdown: a run that the end of its process interrupts is run again by another replica, and
// so is one that was requested.
func TestRunShutdown(t *testing.T) {
	for _, every := range []time.Duration{0, 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			d := newMemory()
			var w runs
			first := newRunner(t, d, "first", w.job("first", every, 10*time.Minute))
			second := newRunner(t, d, "second", w.job("second", every, 10*time.Minute))
			stop := start(t, first)
			synctest.Wait()
			if every == 0 {
				require.NoError(t, first.Start(t.Context(), "work"))
			}
			pass(time.Minute)
			require.True(t, state(t, second, "work").Running)
			start(t, second)
			pass(time.Minute)
			stop()
			s := state(t, second, "work")
			require.False(t, s.Running)
			require.Zero(t, s.Failures)
			require.Equal(t, "context canceled", s.Error)
			pass(jobs.DefaultPoll)
			s = state(t, second, "work")
			require.True(t, s.Running, "at once")
			require.Equal(t, "second", s.Holder)
			pass(10 * time.Minute)
			require.Equal(t, 2, w.count())
			require.Zero(t, w.overlap)
			pass(time.Hour)
			require.Equal(t, 2, w.count())
		})
	}
}

// TestRunRequestsAreFew counts the requests to the storage of an idle and of a running process.
func TestRunRequestsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := drivertest.NewFaulty(newMemory(), nil)
		var list []jobs.Job
		for n := range 10 {
			list = append(list, jobs.Job{Name: fmt.Sprint("job", n), Every: 24 * time.Hour, Run: nothing})
		}
		list = append(list, jobs.Job{Name: "long", Run: func(ctx context.Context, _ *jobs.Progress) (any, error) {
			time.Sleep(time.Hour)
			return nil, nil
		}})
		r := newRunner(t, f, "", list...)
		start(t, r)
		pass(time.Minute)
		calls, writes := f.Count(""), f.Writes()
		pass(time.Hour)
		require.LessOrEqual(t, f.Count("")-calls, 720+2*11)
		require.Equal(t, writes, f.Writes())
		require.NoError(t, r.Start(t.Context(), "long"))
		writes = f.Writes()
		pass(time.Hour + time.Second)
		require.InDelta(t, 180+2, f.Writes()-writes, 2)
		t.Logf("idle: %d requests an hour", f.Count("")-calls)
	})
}

// TestListDamagedRecord: a record that is damaged is reported, and the job runs.
func TestListDamagedRecord(t *testing.T) {
	for name, content := range map[string]string{
		"empty": "", "cut": `{"nonce":"N","unti`, "large": `{"error":"` + strings.Repeat("x", 100_000) + `"}`,
		"types":    `{"nonce":1,"until":true}`,
		"negative": `{"until":"2100-01-01T00:00:00Z","run":"R","lease":"-1h","failures":-3}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newMemory()
				put(t, d, "lease/work", content)
				put(t, d, "lease/~other", "x")
				var w runs
				r := newRunner(t, d, "", w.job("a", time.Hour, time.Second))
				if name != "negative" {
					require.Contains(t, state(t, r, "work").Error, "damaged")
				}
				start(t, r)
				pass(2 * time.Minute)
				require.Equal(t, 1, w.count())
				require.Empty(t, state(t, r, "work").Error)
				list, err := r.List(t.Context())
				require.NoError(t, err)
				require.Len(t, list, 1)
			})
		})
	}
}

// TestRunReportsFailures: Done hears of a storage that fails, and the job runs when it is back.
func TestRunReportsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		f := drivertest.NewFaulty(newMemory(), &drivertest.FaultyOptions{
			Before: func(_ context.Context, c drivertest.Call) error {
				if calls.Add(1) <= 3 {
					return driver.ErrUnavailable
				}
				return nil
			}})
		var errs list[error]
		start(t, newRunner(t, f, "", jobs.Job{Name: "a", Every: time.Hour, Run: nothing,
			Done: func(_ any, err error) { errs.add(err) }}))
		pass(10 * time.Minute)
		require.ErrorIs(t, errs.all()[0], driver.ErrUnavailable)
		require.NoError(t, errs.all()[len(errs.all())-1])
	})
}
