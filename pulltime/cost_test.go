package pulltime_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// TestRunEarly: Run writes early when the memory fills up, and pulls that do not fit are counted.
func TestRunEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		r := newRecorder(t, d, &pulltime.Options{MaxPending: 10})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = r.Run(ctx) }()
		for i := range 6 {
			r.Pulled("app", "", fmt.Sprint("v", i))
		}
		synctest.Wait()
		require.Len(t, times(t, newRecorder(t, d, nil), "app", time.Now()), 6)
		cancel()
		synctest.Wait()
		for i := range 12 {
			r.Pulled(fmt.Sprint("app", i%2), "", fmt.Sprint("v", i))
			r.Pulled(fmt.Sprint("app", i%2), "", fmt.Sprint("v", i))
		}
		require.Equal(t, int64(4), r.Dropped())
	})
}

// TestRequests: the number of requests is bounded, however many repositories are pulled from, and
// each repository gets its turn.
func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := drivertest.NewFaulty(memory.New(nil), nil)
		r := newRecorder(t, f, nil)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = r.Run(ctx) }()
		const repositories = 150
		pull := func() {
			for i := range repositories {
				r.Pulled(fmt.Sprint("app", i), one, "v1")
			}
		}
		pull()
		time.Sleep(2*pulltime.DefaultInterval + time.Second)
		synctest.Wait()
		for i := range repositories {
			require.NotEmpty(t, times(t, newRecorder(t, f, nil), fmt.Sprint("app", i), time.Now()))
		}
		before, lists := f.Count(""), f.Count("List")
		for range 20 { // an hour
			pull()
			time.Sleep(pulltime.DefaultInterval)
		}
		synctest.Wait()
		require.LessOrEqual(t, f.Count("")-before, 20*2*pulltime.DefaultMaxWrites)
		require.Equal(t, lists, f.Count("List"))
		before = f.Count("")
		time.Sleep(10 * time.Hour)
		synctest.Wait()
		require.LessOrEqual(t, f.Count("")-before, 3*repositories) // what was left, and then nothing
		cancel()
		synctest.Wait()
	})
}

// TestObjectsStaySmall: an object has the most recent pulls, and knows how recent the others can
// be.
func TestObjectsStaySmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		start := time.Now()
		r := newRecorder(t, d, &pulltime.Options{MaxObject: 4 << 10})
		for i := range 100 {
			r.Pulled("app", digest.FromString(fmt.Sprint(i)), "")
			time.Sleep(time.Second)
			if i%10 == 0 {
				require.NoError(t, r.Flush(t.Context()))
			}
		}
		require.NoError(t, r.Flush(t.Context()))
		read, err := newRecorder(t, d, nil).Read(t.Context(), "app")
		require.NoError(t, err)
		require.Greater(t, read.Len(), 35)
		require.Less(t, read.Len(), 50)
		rest := int(read.Rest().Sub(start) / time.Second)
		require.Equal(t, 99-read.Len(), rest)
		for i := range 100 {
			at, ok := read.Digest(digest.FromString(fmt.Sprint(i)))
			require.Equal(t, i > rest, ok)
			if ok {
				require.Equal(t, start.Add(time.Duration(i)*time.Second), at)
			}
		}
		for info, err := range d.List(t.Context(), "p/", nil) {
			require.NoError(t, err)
			require.LessOrEqual(t, info.Size, int64(4<<10))
			require.Greater(t, info.Size, int64(3<<10))
		}
	})
}

// TestPulledAllocatesNothing: a pull of a known manifest and tag costs no memory.
func TestPulledAllocatesNothing(t *testing.T) {
	r := newRecorder(t, memory.New(nil), nil)
	r.Pulled("team/app", one, "v1")
	require.Zero(t, testing.AllocsPerRun(100, func() { r.Pulled("team/app", one, "v1") }))
}

func BenchmarkPulled(b *testing.B) {
	r, err := pulltime.New(memory.New(nil), nil)
	require.NoError(b, err)
	for i := range 10_000 {
		r.Pulled(fmt.Sprint("team/app", i), one, "v1")
	}
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Pulled("team/app77", one, "v1")
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				r.Pulled("team/app77", one, "v1")
			}
		})
	})
}
