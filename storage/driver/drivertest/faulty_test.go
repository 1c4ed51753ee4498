package drivertest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

func newMemory(t testing.TB) *memory.Driver {
	t.Helper()
	return memory.New(nil)
}

// TestFaultyIsADriver: a Faulty without planned failures fulfils the whole contract.
func TestFaultyIsADriver(t *testing.T) {
	drivertest.TestDriver(t, func(t *testing.T) driver.Driver {
		return drivertest.NewFaulty(newMemory(t), nil)
	}, &drivertest.Options{LargeSize: 1 << 20})
}

func put(t *testing.T, d driver.Driver, key string) error {
	t.Helper()
	_, err := d.Put(t.Context(), key, strings.NewReader(key), nil)
	return err
}

func keys(t *testing.T, d driver.Driver) (list []string, err error) {
	t.Helper()
	for info, err := range d.List(t.Context(), "", nil) {
		if err != nil {
			return list, err
		}
		list = append(list, info.Key)
	}
	return list, nil
}

func TestCutAfter(t *testing.T) {
	for n := range 5 {
		below := newMemory(t)
		f := drivertest.NewFaulty(below, nil)
		require.NoError(t, put(t, f, "0"))
		f.CutAfter(n)
		for i := 1; i <= 4; i++ {
			if i == 4 {
				require.Equal(t, n < 3, f.Cut())
			}
			err := put(t, f, fmt.Sprint(i))
			if i <= n {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, drivertest.ErrCut)
			}
		}
		list, err := keys(t, below)
		require.NoError(t, err)
		require.Len(t, list, 1+n)
		_, err = keys(t, f)
		require.ErrorIs(t, err, drivertest.ErrCut)
		_, err = f.Stat(t.Context(), "0")
		require.ErrorIs(t, err, drivertest.ErrCut)
		require.ErrorIs(t, f.Delete(t.Context(), "0", ""), drivertest.ErrCut)
		require.ErrorIs(t, f.Sync(t.Context(), "0"), drivertest.ErrCut)
		require.True(t, f.Cut())
		f.Heal()
		require.NoError(t, put(t, f, "again"))
		require.Equal(t, n+2, f.Writes())
	}
}

func TestFailWriteAndLoseResponse(t *testing.T) {
	below := newMemory(t)
	f := drivertest.NewFaulty(below, nil)
	f.FailWrite(2)
	f.LoseResponse(3)
	require.NoError(t, put(t, f, "1"))
	require.ErrorIs(t, put(t, f, "2"), drivertest.ErrInjected)
	require.ErrorIs(t, put(t, f, "3"), drivertest.ErrInjected)
	require.NoError(t, put(t, f, "4"))
	list, err := keys(t, f)
	require.NoError(t, err)
	require.Equal(t, []string{"1", "3", "4"}, list)
	require.Equal(t, 4, f.Count("Put"))
	require.Equal(t, 1, f.Count("List"))
	require.Equal(t, 5, f.Count(""))
	f.LoseResponse(1)
	require.ErrorIs(t, f.Delete(t.Context(), "1", ""), drivertest.ErrInjected)
	_, err = below.Stat(t.Context(), "1")
	require.ErrorIs(t, err, driver.ErrNotExist)
}

func TestFaultyCallsBeforeAndAfter(t *testing.T) {
	busy, lost := errors.New("busy"), errors.New("lost")
	var calls []drivertest.Call
	f := drivertest.NewFaulty(newMemory(t), &drivertest.FaultyOptions{
		Before: func(ctx context.Context, c drivertest.Call) error {
			calls = append(calls, c)
			if c.Key == "slow" {
				select {
				case <-time.After(time.Minute):
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			if c.Key == "busy" {
				return busy
			}
			return nil
		},
		After: func(_ context.Context, c drivertest.Call, err error) error {
			if c.Op == "Open" {
				return lost
			}
			return err
		},
	})
	require.ErrorIs(t, put(t, f, "busy"), busy)
	require.NoError(t, put(t, f, "key"))
	r, _, err := f.Open(t.Context(), "key", nil)
	require.ErrorIs(t, err, lost)
	require.Nil(t, r)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = f.Stat(ctx, "slow")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, []drivertest.Call{
		{Op: "Put", Key: "busy", Number: 1, Write: 1}, {Op: "Put", Key: "key", Number: 2, Write: 2},
		{Op: "Open", Key: "key", Number: 3}, {Op: "Stat", Key: "slow", Number: 4},
	}, calls)
}

// ExampleFaulty_CutAfter shows every state in which a crash can leave an operation of three writes.
func ExampleFaulty_CutAfter() {
	operation := func(d driver.Driver) error {
		for _, key := range []string{"blob", "manifest", "tag"} {
			if _, err := d.Put(context.Background(), key, nil, nil); err != nil {
				return err
			}
		}
		return nil
	}
	for n, cut := 0, true; cut; n++ {
		d := memory.New(nil)
		f := drivertest.NewFaulty(d, nil)
		f.CutAfter(n)
		err := operation(f)
		cut = f.Cut()
		left := 0
		for range d.List(context.Background(), "", nil) {
			left++
		}
		fmt.Println(left, "stored,", err)
	}
	// Output:
	// 0 stored, drivertest: cut off
	// 1 stored, drivertest: cut off
	// 2 stored, drivertest: cut off
	// 3 stored, <nil>
}
