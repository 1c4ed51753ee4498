package pulltime_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

var (
	one = digest.FromString("one")
	two = digest.FromString("two")
)

// TestReplicas: the times of all replicas are merged, and the most recent one counts.
func TestReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		a, b := newRecorder(t, d, &pulltime.Options{Replica: "a"}), newRecorder(t, d, &pulltime.Options{Replica: "b"})
		start := time.Now()
		a.Pulled("team/app", one, "v1")
		a.Pulled("team", two, "v1")
		require.Equal(t, map[string]time.Duration{string(one): 0, "v1": 0}, times(t, a, "team/app", start))
		require.Empty(t, times(t, b, "team/app", start))
		require.NoError(t, a.Flush(t.Context()))
		require.Equal(t, map[string]time.Duration{string(one): 0, "v1": 0}, times(t, b, "team/app", start))
		time.Sleep(time.Minute)
		b.Pulled("team/app", two, "v1")
		require.NoError(t, b.Flush(t.Context()))
		time.Sleep(time.Minute)
		a.Pulled("team/app", two, "")
		want := map[string]time.Duration{string(one): 0, "v1": time.Minute, string(two): 2 * time.Minute}
		require.Equal(t, want, times(t, a, "team/app", start))
		require.NoError(t, a.Flush(t.Context()))
		require.Equal(t, want, times(t, a, "team/app", start))
		require.Equal(t, want, times(t, b, "team/app", start))
		require.Equal(t, map[string]time.Duration{string(two): 0, "v1": 0}, times(t, b, "team", start))
		require.Empty(t, times(t, b, "team/ap", start))
		require.Empty(t, times(t, b, "team/app/x", start))
	})
}

// TestRun: pulls are written every interval and at the end, and a kill loses those of one interval.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		start := time.Now()
		r := newRecorder(t, d, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		r.Pulled("app", one, "v1")
		time.Sleep(pulltime.DefaultInterval - time.Second)
		synctest.Wait()
		require.Empty(t, times(t, newRecorder(t, d, nil), "app", start)) // what another process sees
		time.Sleep(time.Second)
		synctest.Wait()
		require.Len(t, times(t, newRecorder(t, d, nil), "app", start), 2)
		r.Pulled("app", two, "")
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.Len(t, times(t, newRecorder(t, d, nil), "app", start), 3)
	})
}

// TestDeadReplicas: the objects of replicas that no longer write are merged into one.
func TestDeadReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		start := time.Now()
		for i := range 20 {
			r := newRecorder(t, d, &pulltime.Options{Replica: fmt.Sprint("pod-", i)})
			r.Pulled("team/app", digest.FromString(fmt.Sprint(i)), "")
			require.NoError(t, r.Flush(t.Context()))
		}
		require.Equal(t, 20, objects(t, d))
		time.Sleep(25 * time.Hour)
		old := newRecorder(t, d, &pulltime.Options{Replica: "pod-3"}) // it lives, and begins anew later
		r := newRecorder(t, d, &pulltime.Options{Replica: "new"})
		r.Pulled("team/app", one, "")
		require.NoError(t, r.Flush(t.Context()))
		require.Equal(t, 1, objects(t, d))
		require.Len(t, times(t, r, "team/app", start), 21)
		old.Pulled("team/app", two, "")
		require.NoError(t, old.Flush(t.Context()))
		require.Equal(t, 2, objects(t, d))
		require.Len(t, times(t, r, "team/app", start), 22)
	})
}

// TestForget: what is gone is dropped, in memory and in the objects of all replicas.
func TestForget(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		ctx := t.Context()
		a, b := newRecorder(t, d, &pulltime.Options{Replica: "a"}), newRecorder(t, d, &pulltime.Options{Replica: "b"})
		for _, r := range []*pulltime.Recorder{a, b} {
			r.Pulled("app", one, "v1")
			r.Pulled("app", two, "v2")
			r.Pulled("other", one, "v1")
			require.NoError(t, r.Flush(ctx))
		}
		a.Pulled("app", one, "v1")
		require.NoError(t, a.Forget(ctx, "app", string(one), "v1", "none"))
		require.NoError(t, a.Flush(ctx))
		for _, r := range []*pulltime.Recorder{a, b} {
			require.Len(t, times(t, r, "app", time.Now()), 2)
		}
		a.Pulled("app", one, "")
		require.NoError(t, a.Forget(ctx, "app"))
		require.NoError(t, a.Forget(ctx, "app"))
		require.NoError(t, a.Flush(ctx))
		require.Empty(t, times(t, b, "app", time.Now()))
		require.Len(t, times(t, b, "other", time.Now()), 2)
	})
}

// TestCrash: a failure at any write loses no time that was written before, and the next Flush
// writes the rest.
func TestCrash(t *testing.T) {
	for _, lose := range []bool{false, true} {
		for n := 1; n < 6; n++ {
			d := memory.New(nil)
			f := drivertest.NewFaulty(d, nil)
			r := newRecorder(t, f, &pulltime.Options{Replica: "r"})
			for i := range 3 {
				r.Pulled(fmt.Sprint("app", i), one, "")
			}
			require.NoError(t, r.Flush(t.Context()))
			if lose {
				f.LoseResponse(n)
			} else {
				f.FailWrite(n)
			}
			for i := range 3 {
				r.Pulled(fmt.Sprint("app", i), two, "")
			}
			err := r.Flush(t.Context())
			require.Equal(t, n > 3, err == nil)
			for i := range 3 {
				require.Len(t, times(t, r, fmt.Sprint("app", i), time.Now()), 2)
				require.Contains(t, times(t, newRecorder(t, d, nil), fmt.Sprint("app", i), time.Now()), string(one))
			}
			require.NoError(t, r.Flush(t.Context()))
			for i := range 3 {
				require.Len(t, times(t, newRecorder(t, d, nil), fmt.Sprint("app", i), time.Now()), 2)
			}
		}
	}
}

// TestDamagedObjects: foreign and damaged objects lose times, and break nothing.
func TestDamagedObjects(t *testing.T) {
	d := memory.New(nil)
	r := newRecorder(t, d, nil)
	r.Pulled("app", one, "v1")
	require.NoError(t, r.Flush(t.Context()))
	for i, content := range []string{"", "{", "null", `{"refs":null}`, `{"refs":{"v2":1}}`, strings.Repeat("x", 1000)} {
		_, err := d.Put(t.Context(), fmt.Sprint("p/app/foreign", i), strings.NewReader(content), nil)
		require.NoError(t, err)
	}
	require.Len(t, times(t, r, "app", time.Now()), 3)
	for info, err := range d.List(t.Context(), "p/app/", nil) {
		require.NoError(t, err)
		_, err = d.Put(t.Context(), info.Key, strings.NewReader("cut"), nil)
		require.NoError(t, err)
	}
	r.Pulled("app", two, "")
	require.NoError(t, r.Flush(t.Context()))
	require.Len(t, times(t, r, "app", time.Now()), 1)
}

// TestConcurrent: pulls, writes, reads and Forget at the same time, by replicas that share a name.
func TestConcurrent(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		var wg sync.WaitGroup
		const repositories, refs = 3, 20
		for range 3 {
			r := newRecorder(t, d, &pulltime.Options{Replica: "same"})
			for range 2 {
				wg.Go(func() {
					for i := range repositories * refs {
						r.Pulled(fmt.Sprint("app", i%repositories), digest.FromString(fmt.Sprint(i)), "latest")
					}
				})
			}
			wg.Go(func() {
				for range 5 {
					if err := r.Flush(t.Context()); err != nil {
						t.Error(err)
					}
					if _, err := r.Read(t.Context(), "app0"); err != nil {
						t.Error(err)
					}
					if err := r.Forget(t.Context(), "app0", "none"); err != nil {
						t.Error(err)
					}
				}
			})
			wg.Wait()
			require.NoError(t, r.Flush(t.Context()))
		}
		for i := range repositories {
			require.Len(t, times(t, newRecorder(t, d, nil), fmt.Sprint("app", i), time.Now()), refs+1)
		}
	})
}

// TestContext: Flush and Forget end with their context while another one is running.
func TestContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := drivertest.NewFaulty(memory.New(nil), &drivertest.FaultyOptions{
			Before: func(context.Context, drivertest.Call) error { <-release; return nil },
		})
		r := newRecorder(t, f, nil)
		r.Pulled("app", one, "")
		first := make(chan error, 1)
		go func() { first <- r.Flush(t.Context()) }()
		synctest.Wait()
		r.Pulled("app", two, "") // does not wait
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, r.Flush(ctx), context.DeadlineExceeded)
		require.ErrorIs(t, r.Forget(ctx, "app"), context.DeadlineExceeded)
		close(release)
		require.NoError(t, <-first)
	})
}

// TestCollectionsLeaveIt: a collection of the store does not touch the objects.
func TestCollectionsLeaveIt(t *testing.T) {
	d := memory.New(nil)
	s, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	require.NoError(t, registrytest.RandomImage(1, 1, 10).Push(t.Context(), s, "app", "v1"))
	r := newRecorder(t, d, nil)
	r.Pulled("app", one, "v1")
	require.NoError(t, r.Flush(t.Context()))
	_, err = s.Collect(t.Context(), &storage.CollectOptions{Grace: -1})
	require.NoError(t, err)
	require.Len(t, times(t, r, "app", time.Now()), 2)
}

func TestNewErrors(t *testing.T) {
	for _, o := range []pulltime.Options{{Interval: -1}, {MaxPending: -1}, {MaxWrites: -1}, {MaxObject: 100}} {
		_, err := pulltime.New(memory.New(nil), &o)
		require.Error(t, err)
	}
	_, err := pulltime.New(nil, nil)
	require.Error(t, err)
	var none *pulltime.Times
	require.True(t, none.Rest().IsZero())
	require.Zero(t, none.Len())
	_, ok := none.Tag("v1")
	require.False(t, ok)
	for range none.Digests() {
		t.Fatal("something of nothing")
	}
}

func onDrivers(t *testing.T, test func(t *testing.T, d driver.Driver)) {
	t.Run("memory", func(t *testing.T) { test(t, memory.New(nil)) })
	t.Run("disk", func(t *testing.T) {
		d, err := disk.New(t.TempDir(), nil)
		require.NoError(t, err)
		test(t, d)
	})
}

func newRecorder(t *testing.T, d driver.Driver, opts *pulltime.Options) *pulltime.Recorder {
	t.Helper()
	r, err := pulltime.New(d, opts)
	require.NoError(t, err)
	return r
}

// times returns the times of a repository as the time since start.
func times(t *testing.T, r *pulltime.Recorder, repo string, start time.Time) map[string]time.Duration {
	t.Helper()
	read, err := r.Read(t.Context(), repo)
	require.NoError(t, err)
	all := map[string]time.Duration{}
	for d, at := range read.Digests() {
		all[string(d)] = at.Sub(start)
	}
	for tag, at := range read.Tags() {
		all[tag] = at.Sub(start)
	}
	require.Len(t, all, read.Len())
	return all
}

// objects returns the number of objects with times.
func objects(t *testing.T, d driver.Driver) int {
	t.Helper()
	n := 0
	for _, err := range d.List(t.Context(), "p/", nil) {
		require.NoError(t, err)
		n++
	}
	return n
}
