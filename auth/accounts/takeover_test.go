package accounts_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// paused returns a driver whose n-th write waits until resume is called.
func paused(d driver.Driver, n int) (f *drivertest.Faulty, resume func()) {
	gate := make(chan struct{})
	f = drivertest.NewFaulty(d, &drivertest.FaultyOptions{Before: func(_ context.Context, c drivertest.Call) error {
		if c.Write == n {
			<-gate
		}
		return nil
	}})
	return f, func() { close(gate) }
}

// TestTakeOverOfASignUp pauses a sign-up before each of its writes, for an hour: meanwhile,
// somebody else takes the name. One of them gets it.
func TestTakeOverOfASignUp(t *testing.T) {
	for n := 1; n <= 3; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := memory.New(nil)
				f, resume := paused(d, n)
				slow, fast := newAccounts(t, f, nil), newAccounts(t, d, nil)
				done := make(chan error)
				var slowAcc *accounts.Account
				go func() {
					var err error
					slowAcc, err = slow.SignUp(t.Context(), "ann", password, nil)
					done <- err
				}()
				synctest.Wait()
				time.Sleep(accounts.ClaimLife - time.Second)
				_, err := fast.CreateUser(t.Context(), accounts.Actor{}, "a-nn", "", nil)
				if n == 3 {
					require.ErrorIs(t, err, accounts.ErrTaken, "too early")
				} else {
					require.NoError(t, err)
				}
				time.Sleep(time.Second)
				if n == 3 {
					_, err = fast.CreateUser(t.Context(), accounts.Actor{}, "a-nn", "", nil)
					require.NoError(t, err)
				}
				resume()
				require.ErrorIs(t, <-done, accounts.ErrTaken)
				require.Nil(t, slowAcc)
				_, err = fast.Lookup(t.Context(), "a-nn")
				require.NoError(t, err)
				time.Sleep(accounts.ClaimLife)
				require.NoError(t, fast.Tidy(t.Context()))
				checkWhole(t, d)
			})
		})
	}
}

// TestTakeOverOfARename does the same with a rename: the account keeps its old name.
func TestTakeOverOfARename(t *testing.T) {
	for n := 1; n <= 3; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := memory.New(nil)
				f, resume := paused(d, n)
				slow, fast := newAccounts(t, f, nil), newAccounts(t, d, nil)
				bob := newUser(t, fast, "bob")
				done := make(chan error)
				go func() {
					_, err := slow.Rename(t.Context(), forced, bob.ID, "ann")
					done <- err
				}()
				synctest.Wait()
				time.Sleep(accounts.ClaimLife)
				ann, err := fast.CreateUser(t.Context(), accounts.Actor{}, "ann", "", nil)
				require.NoError(t, err)
				resume()
				require.ErrorIs(t, <-done, accounts.ErrTaken)
				found, err := newAccounts(t, d, nil).Lookup(t.Context(), "ann")
				require.NoError(t, err)
				require.Equal(t, ann.ID, found.ID)
				found, err = newAccounts(t, d, nil).Lookup(t.Context(), "bob")
				require.NoError(t, err)
				require.Equal(t, "bob", found.Name)
				checkWhole(t, d)
			})
		})
	}
}

// TestQuarantineOutlivesARename interrupts an account that wants a released name back: the
// quarantine goes on.
func TestQuarantineOutlivesARename(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		a := newAccounts(t, d, nil)
		bob := newUser(t, a, "bob")
		_, err := a.Rename(t.Context(), forced, bob.ID, "bobby")
		require.NoError(t, err)
		_, err = a.Release(t.Context(), forced, bob.ID, "bob")
		require.NoError(t, err)
		dead := drivertest.NewFaulty(d, nil)
		dead.CutAfter(2) // mark and claim
		_, err = newAccounts(t, dead, nil).Rename(t.Context(), forced, bob.ID, "bob")
		require.ErrorIs(t, err, drivertest.ErrCut)
		time.Sleep(accounts.ClaimLife)
		_, err = a.CreateUser(t.Context(), accounts.Actor{}, "bob", "", nil)
		require.ErrorIs(t, err, accounts.ErrTaken)
		time.Sleep(accounts.DefaultQuarantine)
		_, err = a.CreateUser(t.Context(), accounts.Actor{}, "bob", "", nil)
		require.NoError(t, err)
		checkWhole(t, d)
	})
}

// TestTakeOverIsPaused pauses the one who takes over instead, between his writes. The name has one
// owner in the end.
func TestTakeOverIsPaused(t *testing.T) {
	for n := 1; n <= 3; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := memory.New(nil)
				fast := newAccounts(t, d, nil)
				bob := newUser(t, fast, "bob")
				dead := drivertest.NewFaulty(d, nil)
				dead.CutAfter(2) // mark and claim
				_, err := newAccounts(t, dead, nil).Rename(t.Context(), forced, bob.ID, "ann")
				require.ErrorIs(t, err, drivertest.ErrCut)
				time.Sleep(accounts.ClaimLife)

				f, resume := paused(d, n)
				done := make(chan error)
				go func() {
					_, err := newAccounts(t, f, nil).CreateUser(t.Context(), accounts.Actor{}, "ann", "", nil)
					done <- err
				}()
				synctest.Wait()
				_, rerr := fast.Rename(t.Context(), forced, bob.ID, "ann")
				resume()
				cerr := <-done
				require.NotEqual(t, rerr == nil, cerr == nil, "rename: %v, create: %v", rerr, cerr)
				acc, err := newAccounts(t, d, nil).Lookup(t.Context(), "ann")
				require.NoError(t, err)
				require.Equal(t, rerr == nil, acc.ID == bob.ID)
				checkWhole(t, d)
			})
		})
	}
}

// TestManyWantOneName lets many people on two replicas sign up and rename to look-alikes of one
// name.
func TestManyWantOneName(t *testing.T) {
	for range 20 {
		d := memory.New(nil)
		replicas := []*accounts.Accounts{newAccounts(t, d, nil), newAccounts(t, d, nil)}
		var wg sync.WaitGroup
		var mu sync.Mutex
		var winners []accounts.ID
		for i, name := range []string{"modern", "modem", "m0dern", "mo-dern", "moder-n", "m0dem", "m-odem", "mod-em"} {
			a := replicas[i%2]
			old := newUser(t, a, fmt.Sprintf("user-%c", 'a'+i))
			for range 2 {
				wg.Go(func() {
					var acc *accounts.Account
					var err error
					if i < 4 {
						acc, err = a.CreateOrganisation(t.Context(), forced, name, old.ID, nil)
					} else {
						acc, err = a.Rename(t.Context(), forced, old.ID, name)
					}
					if err != nil {
						require.ErrorIs(t, err, accounts.ErrTaken)
						return
					}
					mu.Lock()
					defer mu.Unlock()
					winners = append(winners, acc.ID)
				})
			}
		}
		wg.Wait()
		require.NotEmpty(t, winners)
		for _, id := range winners {
			require.Equal(t, winners[0], id)
		}
		checkWhole(t, d)
	}
}

// TestOneAdminBySetUp lets many callers use one token, some with the same name.
func TestOneAdminBySetUp(t *testing.T) {
	d := memory.New(nil)
	replicas := []*accounts.Accounts{newAccounts(t, d, nil), newAccounts(t, d, nil)}
	old, err := replicas[0].SetupToken(t.Context())
	require.NoError(t, err)
	token, err := replicas[1].SetupToken(t.Context())
	require.NoError(t, err)
	_, err = replicas[0].SetUp(t.Context(), old, "ann", password)
	require.ErrorIs(t, err, accounts.ErrSetup, "replaced")
	_, err = replicas[0].SetUp(t.Context(), "", "ann", password)
	require.ErrorIs(t, err, accounts.ErrSetup)
	for _, bad := range []string{"short", ""} {
		_, err = replicas[0].SetUp(t.Context(), token, "ann", bad)
		require.ErrorIs(t, err, accounts.ErrInvalid, "and the token is still good")
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	winners := map[string]int{}
	for i, name := range []string{"bob", "eve", "joe", "max", "bob", "eve"} {
		wg.Go(func() {
			_, err := replicas[i%2].SetUp(t.Context(), token, name, fmt.Sprint(password, i))
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				winners[name]++
			}
		})
	}
	wg.Wait()
	admins, err := replicas[0].Admins(t.Context())
	require.NoError(t, err)
	require.Len(t, admins, 1)
	require.Len(t, winners, 1)
	users := 0
	for range replicas[0].List(t.Context(), "") {
		users++
	}
	require.Equal(t, 1, users, "callers without success have made no account")
	more, err := replicas[1].SetupToken(t.Context())
	require.NoError(t, err)
	require.Empty(t, more)
	_, err = replicas[1].SetUp(t.Context(), token, "zoe", password)
	require.ErrorIs(t, err, accounts.ErrSetup)
}

// TestTokenOfALateReplica makes a token while the first admin is made: nobody can use it.
func TestTokenOfALateReplica(t *testing.T) {
	d := memory.New(nil)
	a := newAccounts(t, d, nil)
	first, err := a.SetupToken(t.Context())
	require.NoError(t, err)
	f, resume := paused(d, 1)
	late := newAccounts(t, f, nil)
	tokens := make(chan auth.Secret)
	go func() {
		token, err := late.SetupToken(t.Context())
		if err != nil {
			token = ""
		}
		tokens <- token
	}()
	require.Eventually(t, func() bool { return f.Writes() == 1 }, 10*time.Second, time.Millisecond)
	_, err = a.SetUp(t.Context(), first, "ann", password)
	require.NoError(t, err)
	resume()
	token := <-tokens
	require.NotEmpty(t, token)
	_, err = a.SetUp(t.Context(), token, "bob", password)
	require.ErrorIs(t, err, accounts.ErrSetup)
	_, err = a.Lookup(t.Context(), "bob")
	require.ErrorIs(t, err, accounts.ErrUnknown)
}

// TestRemoveBesideCreateOrganisation removes a user who makes an organisation: no organisation is
// without an owner.
func TestRemoveBesideCreateOrganisation(t *testing.T) {
	for range 50 {
		d := memory.New(nil)
		replicas := []*accounts.Accounts{newAccounts(t, d, nil), newAccounts(t, d, nil)}
		ann := newUser(t, replicas[0], "ann")
		var wg sync.WaitGroup
		var cerr, rerr error
		wg.Go(func() { _, cerr = replicas[0].CreateOrganisation(t.Context(), forced, "acme", ann.ID, nil) })
		wg.Go(func() { rerr = replicas[1].Remove(t.Context(), forced, ann.ID) })
		wg.Wait()
		now := newAccounts(t, d, nil)
		acc, err := now.Account(t.Context(), ann.ID)
		require.NoError(t, err)
		if _, err := now.Lookup(t.Context(), "acme"); err == nil {
			require.NoError(t, cerr)
			require.ErrorIs(t, rerr, accounts.ErrInUse)
			require.True(t, acc.Active())
		} else {
			require.Error(t, cerr)
			require.NoError(t, rerr)
		}
	}
}
