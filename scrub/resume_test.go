package scrub_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/scrub"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// TestRunIsContinued interrupts a run before each of its requests. Another process continues it, and
// together they find all damage, and count everything once.
func TestRunIsContinued(t *testing.T) {
	d := memory.New(nil)
	f := newFixture(t, d, nil)
	remove(t, d, "r/team.~app/x/"+pathOf(f.second.Digest)+"/v2")
	change(t, d, f.dataOf(t, f.chunked.Digest)[0], flip)
	whole := scrubbed(t, f.store, d, reporting)
	require.Len(t, whole.Findings, 3)
	resumed := 0
	for n := 1; ; n++ {
		calls := atomic.Int64{}
		ctx, cancel := context.WithCancel(t.Context())
		faulty := drivertest.NewFaulty(d, &drivertest.FaultyOptions{
			Before: func(context.Context, drivertest.Call) error {
				if calls.Add(1) == int64(n) {
					cancel() // SIGTERM
				}
				return ctx.Err()
			}})
		_, err := scrub.Run(ctx, f.store, faulty, &scrub.Options{Settle: -1, Parallel: 1})
		cancel()
		if err == nil {
			require.Greater(t, n, 50)
			break
		}
		require.ErrorIs(t, err, context.Canceled)
		r, err := scrub.Run(t.Context(), newStore(t, d, nil), d, reporting)
		require.NoError(t, err)
		if r.Resumed && r.Stage != "" {
			resumed++
		}
		for _, want := range whole.Findings {
			require.Contains(t, r.Findings, want, "%d", n)
		}
		require.NotContains(t, keys(t, d, "z/"), "z/run")
	}
	require.Greater(t, resumed, 20)
}

// TestPositionIsWrittenWhileRunning kills a run that cannot write at its end any more. The next one begins
// where the last position was written, and does not read the bytes of what was checked before again.
func TestPositionIsWrittenWhileRunning(t *testing.T) {
	d := memory.New(nil)
	s := newStore(t, d, nil)
	for i := range 20 {
		repo := "r" + string(rune('a'+i))
		putImage(t, s, repo, image("", nil, pushBlob(t, s, repo, []byte("{}"))), "v1")
	}
	c := &fakeClock{now: time.Unix(1000, 0)}
	dead := false
	faulty := drivertest.NewFaulty(d, &drivertest.FaultyOptions{
		Before: func(_ context.Context, call drivertest.Call) error {
			if dead = dead || call.Key == "r/rm/m/"; dead {
				return driver.ErrUnavailable
			}
			return nil
		}})
	o := scrub.Options{Settle: -1, Requests: 1, Parallel: 1} // so that time passes
	scrub.WithClock(&o, c.Now, c.Sleep)
	_, err := scrub.Run(t.Context(), s, faulty, &o)
	require.ErrorIs(t, err, driver.ErrUnavailable)
	r := scrubbed(t, s, d, reporting)
	require.True(t, r.Resumed)
	require.Equal(t, int64(20), r.Repositories, "each counts once")

	r = scrubbed(t, s, d, &scrub.Options{Settle: -1, Restart: true})
	require.False(t, r.Resumed)
}

func TestRestartAndOtherOptions(t *testing.T) {
	d := memory.New(nil)
	f := newFixture(t, d, nil)
	interrupt := func(o scrub.Options) {
		n := atomic.Int64{}
		faulty := drivertest.NewFaulty(d, &drivertest.FaultyOptions{Before: func(context.Context, drivertest.Call) error {
			if n.Add(1) == 60 {
				return driver.ErrUnavailable
			}
			return nil
		}})
		_, err := scrub.Run(t.Context(), f.store, faulty, &o)
		require.ErrorIs(t, err, driver.ErrUnavailable)
		require.Contains(t, keys(t, d, "z/"), "z/run")
	}
	interrupt(*reporting)
	require.False(t, scrubbed(t, f.store, d, repairing).Resumed, "a run that repairs does not continue a report")
	interrupt(*repairing)
	require.True(t, scrubbed(t, f.store, d, repairing).Resumed)
	interrupt(*reporting)
	require.False(t, scrubbed(t, f.store, d, &scrub.Options{Settle: -1, Restart: true}).Resumed)
	interrupt(*reporting)
	store(t, d, "z/run", []byte("{"))
	require.False(t, scrubbed(t, f.store, d, reporting).Resumed, "a damaged position counts as none")
}

// TestTwoRunsAtOnce starts a second run in the middle of the first. Both find the damage, and the first
// leaves the position to the second.
func TestTwoRunsAtOnce(t *testing.T) {
	d := memory.New(nil)
	f := newFixture(t, d, nil)
	change(t, d, f.dataOf(t, f.layer.Digest)[0], flip)
	remove(t, d, "r/team.~app/b/"+pathOf(f.config.Digest))
	n := atomic.Int64{}
	faulty := drivertest.NewFaulty(d, &drivertest.FaultyOptions{Before: func(context.Context, drivertest.Call) error {
		if n.Add(1) == 40 {
			scrubbed(t, f.store, d, repairing)
		}
		return nil
	}})
	_, err := scrub.Run(t.Context(), f.store, faulty, &scrub.Options{Repair: true, Settle: -1, Parallel: 1})
	require.NoError(t, err)
	f.checkServed(t)
	f.pushAgain(t)
	require.True(t, scrubbed(t, f.store, d, repairing).Whole())
	f.checkWhole(t)
}

// TestJob runs the job on request, and reads its result from the state that all replicas see.
func TestJob(t *testing.T) {
	d := memory.New(nil)
	f := newFixture(t, d, nil)
	change(t, d, f.dataOf(t, f.layer.Digest)[0], flip)
	done := make(chan error, 1)
	job := scrub.Job(time.Hour, f.store, d, repairing)
	job.Done = func(_ any, err error) { done <- err }
	r, err := jobs.New(d, &jobs.Options{Jobs: []jobs.Job{job}})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	require.NoError(t, <-done)
	states, err := r.List(t.Context())
	require.NoError(t, err)
	require.Len(t, states, 1)
	require.Equal(t, scrub.JobName, states[0].Name)
	require.Contains(t, string(states[0].Result), `"kind":"corrupt-blob"`)
	require.Contains(t, string(states[0].Result), `"quarantined":2`)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

// TestJobResultFits has more damage than fits into the state of a job.
func TestJobResultFits(t *testing.T) {
	d := memory.New(nil)
	s := newStore(t, d, nil)
	config := pushBlob(t, s, "r", []byte("{}"))
	for i := range 200 {
		desc := putImage(t, s, "r", image(string(rune('a'+i)), nil, config), "t"+digest.FromString(string(rune(i))).Encoded())
		remove(t, d, "r/r/m/"+pathOf(desc.Digest))
	}
	job := scrub.Job(0, s, d, repairing)
	var result any
	var failure error
	done := make(chan struct{})
	job.Every = time.Hour
	job.Done = func(r any, err error) { result, failure = r, err; close(done) }
	r, err := jobs.New(d, &jobs.Options{Jobs: []jobs.Job{job}})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	<-done
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.NoError(t, failure)
	require.Len(t, result.(scrub.Report).Findings, 20)
	require.Equal(t, int64(200), result.(scrub.Report).Damaged)
}

// TestReadOnly: such a run writes nothing, also if it is interrupted, and leaves the position of another
// run alone.
func TestReadOnly(t *testing.T) {
	d := memory.New(nil)
	f := newFixture(t, d, nil)
	_, err := scrub.Run(t.Context(), f.store, d, &scrub.Options{ReadOnly: true, Repair: true})
	require.ErrorContains(t, err, "ReadOnly excludes Repair")
	for n := range 60 {
		ctx, cancel := context.WithCancel(t.Context())
		calls := atomic.Int64{}
		faulty := drivertest.NewFaulty(d, &drivertest.FaultyOptions{
			Before: func(context.Context, drivertest.Call) error {
				if calls.Add(1) == int64(n) {
					cancel()
				}
				return ctx.Err()
			}})
		_, _ = scrub.Run(ctx, f.store, faulty, &scrub.Options{ReadOnly: true, Settle: -1, Parallel: 1})
		cancel()
		require.Zero(t, faulty.Writes(), n)
	}
}
