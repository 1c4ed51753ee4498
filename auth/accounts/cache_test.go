package accounts_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// TestOneRequestForManyReaders lets many goroutines need an account at once, before it is in memory
// and when it must be read again. The storage takes a second for an answer.
func TestOneRequestForManyReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		ann := newUser(t, newAccounts(t, d, nil), "ann")
		f := drivertest.NewFaulty(d, &drivertest.FaultyOptions{Before: func(context.Context, drivertest.Call) error {
			time.Sleep(time.Second)
			return nil
		}})
		a := newAccounts(t, f, nil)
		read := func(id accounts.ID) {
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					_, err := a.Account(t.Context(), id)
					require.Equal(t, id == ann.ID, err == nil)
				})
			}
			wg.Wait()
		}
		for _, id := range []accounts.ID{ann.ID, accounts.Decoy("nobody")} {
			before := f.Count("")
			read(id)
			require.Equal(t, before+1, f.Count(""))
			read(id)
			require.Equal(t, before+1, f.Count(""), "in memory")
			time.Sleep(accounts.DefaultRefresh)
			read(id)
			require.Equal(t, before+2, f.Count(""))
		}
	})
}

// TestReaderGivesUp ends the context of the caller who makes the request: one of those who wait
// makes it again.
func TestReaderGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		ann := newUser(t, newAccounts(t, d, nil), "ann")
		var calls atomic.Int64
		f := drivertest.NewFaulty(d, &drivertest.FaultyOptions{Before: func(ctx context.Context, _ drivertest.Call) error {
			if calls.Add(1) == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}})
		a := newAccounts(t, f, nil)
		first, giveUp := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := a.Account(first, ann.ID)
			require.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait()
		for range 10 {
			wg.Go(func() {
				_, err := a.Account(t.Context(), ann.ID)
				require.NoError(t, err)
			})
		}
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := a.Account(impatient, ann.ID)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		giveUp()
		wg.Wait()
		require.EqualValues(t, 2, calls.Load())
	})
}

// TestReadBesideChange reads an account while this process disables it. The read began before and
// ends after, so its answer may be the old one, but nobody who begins after Disable may get it.
func TestReadBesideChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		ann := newUser(t, newAccounts(t, d, nil), "ann")
		var slow atomic.Bool
		gate := make(chan struct{})
		f := drivertest.NewFaulty(d, &drivertest.FaultyOptions{
			After: func(_ context.Context, c drivertest.Call, err error) error {
				if c.Op == "Open" && slow.CompareAndSwap(true, false) {
					<-gate
				}
				return err
			}})
		a := newAccounts(t, f, nil)
		slow.Store(true)
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := a.Account(t.Context(), ann.ID)
			require.NoError(t, err)
		})
		synctest.Wait()
		_, err := a.Disable(t.Context(), forced, ann.ID)
		require.NoError(t, err)
		got, err := a.Account(t.Context(), ann.ID)
		require.NoError(t, err)
		require.False(t, got.Active(), "does not join the request that began before")
		close(gate)
		wg.Wait()
		got, err = a.Account(t.Context(), ann.ID)
		require.NoError(t, err)
		require.False(t, got.Active(), "the answer of that request is not kept")
	})
}

// TestChangeByAnotherProcess takes effect within Options.Refresh, counted from when the request
// began.
func TestChangeByAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		other := newAccounts(t, d, nil)
		ann := newUser(t, other, "ann")
		f := drivertest.NewFaulty(d, &drivertest.FaultyOptions{
			After: func(_ context.Context, _ drivertest.Call, err error) error {
				time.Sleep(4 * time.Second)
				return err
			}})
		a := newAccounts(t, f, nil)
		_, err := a.Account(t.Context(), ann.ID)
		require.NoError(t, err)
		_, err = other.Disable(t.Context(), forced, ann.ID)
		require.NoError(t, err)
		time.Sleep(accounts.DefaultRefresh - 4*time.Second)
		got, err := a.Account(t.Context(), ann.ID)
		require.NoError(t, err)
		require.False(t, got.Active())
	})
}

func TestStorageDownIsNotUnknown(t *testing.T) {
	d := memory.New(nil)
	ann, err := newAccounts(t, d, nil).CreateUser(t.Context(), forced, "ann", password, nil)
	require.NoError(t, err)
	f := drivertest.NewFaulty(d, nil)
	f.CutAfter(0)
	a := newAccounts(t, f, nil)
	_, err = a.Account(t.Context(), ann.ID)
	require.ErrorIs(t, err, drivertest.ErrCut)
	_, err = a.Lookup(t.Context(), "ann")
	require.ErrorIs(t, err, drivertest.ErrCut)
	_, err = a.CheckPassword(t.Context(), ann.ID, password)
	require.ErrorIs(t, err, drivertest.ErrCut)
	f.Heal()
	_, err = a.CheckPassword(t.Context(), ann.ID, password)
	require.NoError(t, err, "the failure is not remembered")
}

// TestCacheIsBounded looks up many unknown names.
func TestCacheIsBounded(t *testing.T) {
	a := newAccounts(t, memory.New(nil), nil)
	a.LimitCache(1 << 20)
	for i := range 10_000 {
		_, err := a.Lookup(t.Context(), fmt.Sprintf("nobody%d", i))
		require.ErrorIs(t, err, accounts.ErrUnknown)
	}
	require.Less(t, a.Cached(), 1<<20/256)
	require.Greater(t, a.Cached(), 1<<20/2/512)
}

func TestLookupInMemoryAllocatesNothing(t *testing.T) {
	ctx := t.Context()
	a := newAccounts(t, memory.New(nil), nil)
	ann := newUser(t, a, "someone")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_, _ = a.Lookup(ctx, "someone")
		_, _ = a.Account(ctx, ann.ID)
	}))
}

func BenchmarkLookup(b *testing.B) {
	ctx := b.Context()
	a := newAccounts(b, memory.New(nil), &accounts.Options{Refresh: time.Hour})
	newUser(b, a, "someone")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := a.Lookup(ctx, "someone"); err != nil {
				b.Error(err)
			}
		}
	})
}

// TestListsInMemoryAreBounded: what is made of many objects counts by their number, so that a user with many of them
// does not fill the memory.
func TestListsInMemoryAreBounded(t *testing.T) {
	d := memory.New(nil)
	a := newAccounts(t, d, nil)
	newUser(t, a, "ann")
	for i := range 100 {
		setVisibility(t, a, "ann/app"+string(rune('a'+i%26))+string(rune('a'+i/26)), accounts.Public)
	}
	one := newAccounts(t, d, nil)
	_, err := one.Visibility(t.Context(), "ann/appaa")
	require.NoError(t, err)
	require.Greater(t, one.CacheWeight(), 100*100)
}
