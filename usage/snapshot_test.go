package usage_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
	"github.com/registrykit/registry/usage"
)

// TestQuestionsMakeAtMostThreeRequests: on a snapshot of many pages.
func TestQuestionsMakeAtMostThreeRequests(t *testing.T) {
	d := memory.New(nil)
	s := newStore(t, d, nil)
	const teams, apps = 20, 30
	for i := range teams {
		for j := range apps {
			pushBlob(t, s, fmt.Sprintf("team%02d/app%02d", i, j), []byte(fmt.Sprint(i, j)))
		}
	}
	m, f := newCounted(t, d)
	m.SetPageSize(2 << 10)
	_, err := m.Count(t.Context(), nil)
	require.NoError(t, err)
	require.Greater(t, len(keys(t, d, "s/n/")), 10)

	requests := func(limit int, question func()) {
		t.Helper()
		before := f.Count("")
		question()
		require.LessOrEqual(t, f.Count("")-before, limit)
	}
	for i := range teams {
		team := fmt.Sprintf("team%02d", i)
		for _, prefix := range []string{"", team, team + "/app07"} {
			requests(3, func() {
				r, err := m.Report(t.Context(), prefix)
				require.NoError(t, err)
				require.Equal(t, prefix, r.Prefix)
			})
			requests(3, func() { require.Len(t, collect(t, m.History(t.Context(), prefix)), 1) })
			requests(3, func() {
				_, err := m.Largest(t.Context(), prefix, 10)
				require.NoError(t, err)
			})
			requests(3, func() {
				n := 0
				for _, err := range m.Children(t.Context(), prefix, "") {
					require.NoError(t, err)
					if n++; n == 3 {
						break
					}
				}
			})
		}
		for _, unknown := range []string{"a", team + "/app", team + "x", team + "/app07/x", "zz"} {
			requests(3, func() {
				_, err := m.Report(t.Context(), unknown)
				require.ErrorIs(t, err, registry.ErrNameUnknown)
			})
			requests(3, func() {
				for _, err := range m.Children(t.Context(), unknown, "") {
					require.ErrorIs(t, err, registry.ErrNameUnknown, unknown)
				}
			})
		}
	}
	for _, err := range m.Children(t.Context(), "team01", "team02/app07") {
		require.ErrorContains(t, err, "not below")
	}
}

// TestCountReadsOnlyWhatIsNew: the second count reads no record.
func TestCountReadsOnlyWhatIsNew(t *testing.T) {
	d := memory.New(nil)
	s := newStore(t, d, nil)
	for i := range 20 {
		push(t, s, fmt.Sprint("app", i), "v1", uint64(i), 10)
	}
	m, f := newCounted(t, d)
	count := func() (opens, puts int, requests int64) {
		opens, puts = f.Count("Open"), f.Count("Put")
		_, err := m.Count(t.Context(), func(p usage.Progress) { requests = p.Requests })
		require.NoError(t, err)
		return f.Count("Open") - opens, f.Count("Put") - puts, requests
	}
	before := f.Count("")
	_, _, requests := count()
	require.InDelta(t, f.Count("")-before, requests, 5) // a list counts as the requests that it makes
	opens, puts, _ := count()
	require.Equal(t, 20+2, opens) // the tables, the root and a page
	require.Equal(t, 2, puts)
	push(t, s, "app7", "v1", 100, 10)
	opens, puts, _ = count()
	require.Equal(t, 22+4, opens)
	require.Equal(t, 3, puts)
}

// TestCountRemovesWhatIsOld: old snapshots and tables of repositories that are gone.
func TestCountRemovesWhatIsOld(t *testing.T) {
	d := memory.New(nil)
	s := newStore(t, d, nil)
	push(t, s, "app", "v1", 1, 10)
	push(t, s, "team/app", "v1", 1, 10)
	m := newMeter(t, d)
	write(t, d, "s/foreign", []byte("hello"))
	write(t, d, "s/r/no.~repo/0000", []byte("hello"))
	for range 3 {
		_, err := m.Count(t.Context(), nil)
		require.NoError(t, err)
	}
	require.Len(t, keys(t, d, "s/n/"), 3)
	m.SetKeepPages(0)
	require.NoError(t, s.DeleteRepository(t.Context(), "team/app", nil))
	_, err := s.Collect(t.Context(), &storage.CollectOptions{Grace: -1})
	require.NoError(t, err)
	require.Len(t, keys(t, d, "s/"), 3+4) // collections leave all of it alone
	_, err = m.Count(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, keys(t, d, "s/n/"), 1)
	require.Equal(t, []string{"s/r/app/0000"}, keys(t, d, "s/r/"))
	require.Len(t, keys(t, d, "s/"), 4)
	_, err = m.Report(t.Context(), "team")
	require.ErrorIs(t, err, registry.ErrNameUnknown)
}

// TestReadersWhileSnapshotsGo: a reader that has read a root whose pages go reads the next one.
func TestReadersWhileSnapshotsGo(t *testing.T) {
	d := memory.New(nil)
	s := newStore(t, d, nil)
	for i := range 50 {
		pushBlob(t, s, fmt.Sprintf("team/app%02d", i), []byte(fmt.Sprint(i)))
	}
	writer := newMeter(t, d)
	writer.SetPageSize(500)
	writer.SetKeepPages(0)
	count := func() {
		_, err := writer.Count(context.Background(), nil)
		require.NoError(t, err)
	}
	count()
	var once sync.Once
	f := drivertest.NewFaulty(d, &drivertest.FaultyOptions{Before: func(_ context.Context, c drivertest.Call) error {
		if strings.HasPrefix(c.Key, "s/n/") {
			once.Do(count)
		}
		return nil
	}})
	m := newMeter(t, f)
	r, err := m.Report(t.Context(), "team/app33")
	require.NoError(t, err)
	require.Equal(t, "team/app33", r.Prefix)

	// In the middle of a list.
	var names []string
	for r, err := range newMeter(t, d).Children(t.Context(), "team", "") {
		require.NoError(t, err)
		if names = append(names, r.Prefix); len(names) == 20 {
			count()
		}
	}
	require.Len(t, names, 50)
	require.IsIncreasing(t, names)
}

// TestCountsAtOnce: the snapshot of one of several counts stays, and it is whole.
func TestCountsAtOnce(t *testing.T) {
	d := memory.New(nil)
	s := newStore(t, d, nil)
	for i := range 30 {
		push(t, s, fmt.Sprint("team/app", i), "v1", uint64(i), 10)
	}
	var wg sync.WaitGroup
	for range 4 {
		m := newMeter(t, d)
		m.SetPageSize(500)
		wg.Go(func() {
			for range 3 {
				if _, err := m.Count(t.Context(), nil); err != nil {
					t.Error(err)
				}
				if r, err := m.Report(t.Context(), "team"); err != nil || r.Figures.Repositories != 30 {
					t.Error(r, err)
				}
			}
		})
	}
	wg.Wait()
	top, err := newMeter(t, d).Report(t.Context(), "")
	require.NoError(t, err)
	requireWalk(t, s, newMeter(t, d), top)
}

// TestSlowCountDoesNotReplaceALaterOne: a count that another one has overtaken leaves its result alone, and
// removes its own pages.
func TestSlowCountDoesNotReplaceALaterOne(t *testing.T) {
	d := memory.New(nil)
	push(t, newStore(t, d, nil), "app", "v1", 1, 10)
	var later usage.Report
	var once sync.Once
	f := drivertest.NewFaulty(d, &drivertest.FaultyOptions{Before: func(_ context.Context, c drivertest.Call) error {
		if c.Op == "Put" && c.Key == "s/root" {
			once.Do(func() {
				var err error
				later, err = newMeter(t, d).Count(t.Context(), nil)
				require.NoError(t, err)
			})
		}
		return nil
	}})
	slow, err := newMeter(t, f).Count(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, slow.Figures, later.Figures)
	r, err := newMeter(t, d).Report(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, later.Counted.UnixNano(), r.Counted.UnixNano())
	require.Len(t, keys(t, d, "s/n/"), 1)
}

// TestRepeatedWriteConflictsWithItself: a driver may repeat a write whose response was lost, and then report
// a conflict. The pages must stay.
func TestRepeatedWriteConflictsWithItself(t *testing.T) {
	d := memory.New(nil)
	push(t, newStore(t, d, nil), "app", "v1", 1, 10)
	f := drivertest.NewFaulty(d, &drivertest.FaultyOptions{After: func(_ context.Context, c drivertest.Call,
		err error) error {
		if c.Op == "Put" && strings.HasPrefix(c.Key, "s/") && err == nil {
			return driver.ErrExist
		}
		return err
	}})
	top, err := newMeter(t, f).Count(t.Context(), nil)
	require.NoError(t, err)
	r, err := newMeter(t, d).Report(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, top.Figures, r.Figures)
}

// TestCountSurvivesFaults: whichever write fails, or loses its response, the last result or the new one is
// whole, and the next count succeeds.
func TestCountSurvivesFaults(t *testing.T) {
	for _, fault := range []string{"fail", "lose"} {
		for n := 1; ; n++ {
			d := memory.New(nil)
			s := newStore(t, d, nil)
			push(t, s, "team/app", "v1", 1, 10)
			first, err := newMeter(t, d).Count(t.Context(), nil)
			require.NoError(t, err)
			push(t, s, "team/web", "v1", 2, 10)
			f := drivertest.NewFaulty(d, nil)
			m := newMeter(t, f)
			m.SetPageSize(100)
			m.SetKeepPages(0)
			writes := f.Count("Put") + f.Count("Delete")
			if fault == "fail" {
				f.FailWrite(writes + n)
			} else {
				f.LoseResponse(writes + n)
			}
			_, err = m.Count(t.Context(), nil)
			if err != nil {
				require.ErrorIs(t, err, drivertest.ErrInjected)
			}
			if f.Count("Put")+f.Count("Delete")-writes < n {
				require.Greater(t, n, 5)
				break // there is no such write
			}
			r, rerr := newMeter(t, d).Report(t.Context(), "team")
			require.NoError(t, rerr)
			if r.Counted.Equal(first.Counted) {
				require.Equal(t, first.Figures.Logical, r.Figures.Logical)
				require.Error(t, err)
			}
			top, err := newMeter(t, d).Count(t.Context(), nil)
			require.NoError(t, err)
			requireWalk(t, s, newMeter(t, d), top)
			require.Len(t, collect(t, m.History(t.Context(), "team")), 1)
		}
	}
}

// TestDamagedSnapshot: a damaged root or page is no error of a count, and its answers are ErrNotCounted
// and never wrong.
func TestDamagedSnapshot(t *testing.T) {
	for _, prefix := range []string{"s/root", "s/n/", "s/"} {
		for name, f := range map[string]func([]byte) []byte{
			"empty":   func([]byte) []byte { return nil },
			"cut":     func(b []byte) []byte { return b[:len(b)-3] },
			"flipped": func(b []byte) []byte { b[len(b)/2] ^= 0x40; return b },
			"foreign": func([]byte) []byte { return []byte("{\"format\":1,\"snapshot\":\"x/../y\",\"last\":[\"\"]}\n") },
			"json":    func([]byte) []byte { return []byte("[]\n\x01\x02") },
		} {
			t.Run(prefix+" "+name, func(t *testing.T) {
				d := memory.New(nil)
				s := newStore(t, d, nil)
				push(t, s, "team/app", "v1", 1, 10)
				m := newMeter(t, d)
				_, err := m.Count(t.Context(), nil)
				require.NoError(t, err)
				dir := prefix
				if prefix == "s/root" {
					write(t, d, prefix, f(read(t, d, prefix)))
				} else {
					damage(t, d, dir, f)
				}
				_, err = m.Report(t.Context(), "team")
				require.ErrorIs(t, err, usage.ErrNotCounted)
				for _, err := range m.Children(t.Context(), "", "") {
					require.ErrorIs(t, err, usage.ErrNotCounted)
				}
				top, err := m.Count(t.Context(), nil)
				require.NoError(t, err)
				requireWalk(t, s, m, top)
			})
		}
	}
}

// TestUnavailableStorage: an error of the storage is not taken for an absent object.
func TestUnavailableStorage(t *testing.T) {
	d := memory.New(nil)
	push(t, newStore(t, d, nil), "app", "v1", 1, 10)
	_, err := newMeter(t, d).Count(t.Context(), nil)
	require.NoError(t, err)
	var down string
	f := drivertest.NewFaulty(d, &drivertest.FaultyOptions{Before: func(_ context.Context, c drivertest.Call) error {
		if down != "" && strings.HasPrefix(c.Key, down) && c.Op != "Put" {
			return driver.ErrUnavailable
		}
		return nil
	}})
	m := newMeter(t, f)
	before := read(t, d, "s/root")
	for _, down = range []string{"s/root", "s/n/", "s/r/app/0000", "r/", "data/"} {
		_, err := m.Count(t.Context(), nil)
		if down == "s/n/" && err == nil {
			continue // removing old pages is all that failed
		}
		require.ErrorIs(t, err, registry.ErrUnavailable, down)
		require.Equal(t, before, read(t, d, "s/root"))
	}
	down = "s/r/"
	_, err = m.Contents(t.Context(), "app")
	require.ErrorIs(t, err, registry.ErrUnavailable)
	down = "s/root"
	_, err = m.Report(t.Context(), "")
	require.ErrorIs(t, err, registry.ErrUnavailable)
}

// TestJob: the job counts under the lease, with a progress and a result in JSON.
func TestJob(t *testing.T) {
	d := memory.New(nil)
	push(t, newStore(t, d, nil), "app", "v1", 1, 10)
	m := newMeter(t, d)
	job := m.Job(time.Hour)
	ended := make(chan error, 1)
	job.Done = func(_ any, err error) { ended <- err }
	runner, err := jobs.New(d, &jobs.Options{Jobs: []jobs.Job{job}})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = runner.Run(ctx)
	}()
	require.NoError(t, <-ended)
	cancel()
	<-stopped
	states, err := runner.List(t.Context())
	require.NoError(t, err)
	require.Len(t, states, 1)
	require.Equal(t, usage.JobName, states[0].Name)
	require.Contains(t, string(states[0].Result), `"figures":{"repositories":1,"tags":1,"manifests":1,"blobs":3,`)
	r, err := m.Report(t.Context(), "app")
	require.NoError(t, err)
	require.Equal(t, time.Duration(0), r.Age(r.Counted.Add(-time.Hour)))
	require.Equal(t, time.Hour, r.Age(r.Counted.Add(time.Hour)))
}

// TestCountEndsWithItsContext: a count that is cancelled changes nothing.
func TestCountEndsWithItsContext(t *testing.T) {
	d := memory.New(nil)
	for i := range 5 {
		push(t, newStore(t, d, nil), fmt.Sprint("app", i), "v1", 1, 10)
	}
	m := newMeter(t, d)
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := m.Count(ctx, func(p usage.Progress) {
		if p.Repositories == 2 {
			cancel(errors.New("enough"))
		}
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, keys(t, d, "s/n/"))
	_, err = m.Report(t.Context(), "")
	require.ErrorIs(t, err, usage.ErrNotCounted)
}

// TestLimits: the requests of a count are spread over time, and there are not more at a time than allowed.
func TestLimits(t *testing.T) {
	d := memory.New(nil)
	s := newStore(t, d, nil)
	for i := range 10 {
		push(t, s, fmt.Sprint("app", i), "v1", uint64(i), 10)
	}
	var mu sync.Mutex
	now, most := 0, 0
	step := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		now += n
		most = max(most, now)
	}
	f := drivertest.NewFaulty(d, &drivertest.FaultyOptions{
		Before: func(context.Context, drivertest.Call) error { step(1); return nil },
		After:  func(_ context.Context, _ drivertest.Call, err error) error { step(-1); return err },
	})
	m, err := usage.New(newStore(t, f, nil), f, &usage.Options{Parallel: 3, Rate: 1000})
	require.NoError(t, err)
	start := time.Now()
	var last usage.Progress
	_, err = m.Count(t.Context(), func(p usage.Progress) { last = p })
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(start), time.Duration(last.Requests-5)*time.Millisecond)
	require.Equal(t, usage.Progress{Repositories: 10, Total: 10, Blobs: 30, Requests: last.Requests}, last)
	require.LessOrEqual(t, most, 2*3) // a list counts as open while what it has listed is read

	for _, o := range []usage.Options{{Parallel: -1}, {Rate: -1}} {
		_, err := usage.New(s, d, &o)
		require.Error(t, err)
	}
	_, err = usage.New(nil, d, nil)
	require.Error(t, err)
	_, err = usage.New(s, nil, nil)
	require.Error(t, err)
}
