package accounts_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// operator is the actor of the tests.
var operator = accounts.Actor{Name: "root"}

func open(t testing.TB, d driver.Driver, opts *accounts.Options) *accounts.Accounts {
	a, err := accounts.New(d, opts)
	require.NoError(t, err)
	return a
}

// newUsers makes users without passwords.
func newUsers(t testing.TB, a *accounts.Accounts, names ...string) []accounts.ID {
	ids := make([]accounts.ID, len(names))
	for i, name := range names {
		u, err := a.CreateUser(t.Context(), operator, name, "", nil)
		require.NoError(t, err)
		ids[i] = u.ID
	}
	return ids
}

func newOrganisation(t testing.TB, a *accounts.Accounts, name string, owner accounts.ID) accounts.ID {
	org, err := a.CreateOrganisation(t.Context(), operator, name, owner, nil)
	require.NoError(t, err)
	return org.ID
}

func newTeam(t testing.TB, a *accounts.Accounts, org accounts.ID, name string, grants ...accounts.Grant) {
	_, err := a.CreateTeam(t.Context(), operator, org, name, nil)
	require.NoError(t, err)
	if grants != nil {
		_, err = a.UpdateTeam(t.Context(), operator, org, name, func(team *accounts.Team) error {
			team.Grants = grants
			return nil
		})
		require.NoError(t, err)
	}
}

func members(t testing.TB, a *accounts.Accounts, org accounts.ID) map[accounts.ID]accounts.Member {
	all := make(map[accounts.ID]accounts.Member)
	for m, err := range a.Members(t.Context(), org, "") {
		require.NoError(t, err)
		require.NotContains(t, all, m.User)
		all[m.User] = *m
	}
	return all
}

// interleaved runs calls at the same time, many times on fresh storage. Each request of the calls takes a random time,
// so that their requests are in another order each time. set makes the accounts and returns the calls; check gets the
// errors of the calls and Accounts that have nothing in memory.
func interleaved(t *testing.T, rounds int,
	set func(t *testing.T, a, b *accounts.Accounts) []func(context.Context) error,
	check func(t *testing.T, a *accounts.Accounts, errs []error)) {
	if testing.Short() {
		rounds /= 4
	}
	for seed := range rounds {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 17))
			var mu sync.Mutex
			slow := false
			below := memory.New(nil)
			d := drivertest.NewFaulty(below, &drivertest.FaultyOptions{Before: func(context.Context, drivertest.Call) error {
				mu.Lock()
				wait := time.Duration(0)
				if slow {
					wait = time.Duration(r.IntN(100)) * time.Microsecond
					if r.IntN(5) == 0 { // so that several requests of another call come in between
						wait *= 50
					}
				}
				mu.Unlock()
				time.Sleep(wait)
				return nil
			}})
			calls := set(t, open(t, d, nil), open(t, d, nil))
			starts := make([]time.Duration, len(calls))
			for i := range starts {
				starts[i] = time.Duration(r.IntN(2000)) * time.Microsecond
			}
			slow = true
			errs := make([]error, len(calls))
			var all sync.WaitGroup
			for i, call := range calls {
				all.Go(func() {
					time.Sleep(starts[i])
					errs[i] = call(t.Context())
				})
			}
			all.Wait()
			check(t, open(t, below, nil), errs)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		})
	}
}

// succeeded returns how many errors are nil, and fails unless all others are one of want.
func succeeded(t *testing.T, errs []error, want ...error) (n int) {
	for _, err := range errs {
		if err == nil {
			n++
			continue
		}
		known := false
		for _, w := range want {
			known = known || errors.Is(err, w)
		}
		require.True(t, known, "%v", err)
	}
	return n
}
