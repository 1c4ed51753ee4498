package audit_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/audit"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// run runs the job once.
func run(t *testing.T, l *audit.Log) audit.Kept {
	t.Helper()
	result, err := l.Job(0).Run(t.Context(), &jobs.Progress{})
	require.NoError(t, err)
	return result.(audit.Kept)
}

// TestKeep: records go when they are too old. A late record that has just arrived stays.
func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		l := newLog(t, d, &audit.Options{Keep: 10 * 24 * time.Hour})
		notify(t, l, push("first", time.Now(), "ann", "r"))
		time.Sleep(5 * 24 * time.Hour)
		notify(t, l, push("second", time.Now(), "ann", "r"), push("late", time.Now().AddDate(0, 0, -20), "ann", "r"))
		require.Equal(t, audit.Kept{}, run(t, l))
		time.Sleep(6 * 24 * time.Hour)
		require.Equal(t, audit.Kept{Removed: 1}, run(t, l))
		got, _ := ids(t, l, &audit.Query{Since: time.Now().AddDate(0, 0, -30)}, 10)
		require.Equal(t, []string{"second", "late"}, got)
		time.Sleep(6 * 24 * time.Hour)
		require.Equal(t, audit.Kept{Removed: 2}, run(t, l))
		require.Empty(t, objects(t, d))
	})
}

// TestMerge: small objects become few, no record is lost or returned twice, and a query that began
// before goes on.
func TestMerge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		l := newLog(t, d, nil)
		want := []string{}
		start := time.Now()
		for i := range 500 {
			e := push(number(i), start.Add(time.Duration(i)*time.Second), "ann", "r")
			notify(t, l, e)
			if i%10 == 0 {
				notify(t, l, e)
			}
			want = append([]string{e.ID}, want...)
		}
		time.Sleep(time.Hour)
		done := make(chan struct{})
		go func() {
			defer close(done)
			kept := run(t, l)
			require.Equal(t, audit.Kept{Merged: 550, Into: 1}, kept)
		}()
		var got []string
		for cursor := ""; ; { // while the job goes on and after it
			records, next, err := l.Page(t.Context(), nil, cursor, 10)
			require.NoError(t, err)
			for _, r := range records {
				got = append(got, r.ID)
			}
			if next == "" {
				break
			}
			cursor = next
			time.Sleep(time.Minute)
		}
		require.Equal(t, want, got)
		<-done
		require.Len(t, objects(t, d), 1)
		got, _ = ids(t, l, nil, 1000)
		require.Equal(t, want, got)
	})
}

// TestMergeInterrupted: a merge that ends in the middle, at any write or while it sleeps, and two
// at once lose nothing.
func TestMergeInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for fail := 1; fail <= 3; fail++ {
			d := drivertest.NewFaulty(memory.New(nil), nil)
			l := newLog(t, d, nil)
			want := []string{}
			start := time.Now()
			for i := range 100 {
				notify(t, l, push(number(i), start.Add(time.Duration(i)*time.Second), "ann", "r"))
				want = append([]string{number(i)}, want...)
			}
			time.Sleep(time.Hour)
			d.FailWrite(fail)
			_, err := l.Job(0).Run(t.Context(), &jobs.Progress{})
			d.Heal()
			require.Error(t, err, fmt.Sprint(fail))
			got, _ := ids(t, l, nil, 1000)
			require.Equal(t, want, got)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			_, err = l.Job(0).Run(ctx, &jobs.Progress{})
			cancel()
			if err != nil {
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}
			time.Sleep(time.Hour)
			var two sync.WaitGroup
			for range 2 {
				two.Go(func() { run(t, l) })
			}
			two.Wait()
			got, _ = ids(t, l, nil, 1000)
			require.Equal(t, want, got)
			time.Sleep(9 * 24 * time.Hour)
		}
	})
}

// TestNotRecorded: a change whose record cannot be stored is not acknowledged.
func TestNotRecorded(t *testing.T) {
	d := drivertest.NewFaulty(memory.New(nil), nil)
	l := newLog(t, d, nil)
	d.FailWrite(1)
	err := l.Notify(t.Context(), []notification.Event{push("a", day, "ann", "r")})
	require.ErrorIs(t, err, notification.ErrNotRecorded)
	require.False(t, errors.Is(err, notification.ErrRefused))
	d.Heal()
	notify(t, l, push("a", day, "ann", "r"))
	got, _ := ids(t, l, nil, 10)
	require.Equal(t, []string{"a"}, got)
}
