package accounts_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
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

// killed is an operation that a test interrupts after each of its writes.
type killed struct {
	// prepare makes what the operation needs, and returns what it is given.
	prepare func(t *testing.T, a *accounts.Accounts) accounts.ID
	do      func(t *testing.T, a *accounts.Accounts, id accounts.ID) error
	// state describes what others see: before or after, and nothing else.
	state         func(t *testing.T, a *accounts.Accounts, id accounts.ID) string
	before, after string
	// again is the error of a repetition of what has taken effect. Default: none.
	again error
}

// faults are the ways in which the n-th write and all after it can fail.
var faults = map[string]func(f *drivertest.Faulty, n int){
	"killed":        func(f *drivertest.Faulty, n int) { f.CutAfter(n) },
	"not performed": func(f *drivertest.Faulty, n int) { f.FailWrite(n + 1) },
	"no response":   func(f *drivertest.Faulty, n int) { f.LoseResponse(n + 1) },
}

// run interrupts the operation after n = 0, 1, 2, … writes. Each time, another process must find
// the state before or the one after, and a repetition must complete the operation.
func (k *killed) run(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			n := 0
			for more := true; more; n++ {
				require.Less(t, n, 50)
				synctest.Test(t, func(t *testing.T) { more = k.once(t, fault, n) })
			}
			require.Greater(t, n, 1, "at least one write was interrupted")
		})
	}
}

// once interrupts the operation after n writes. It reports whether there was a write to interrupt.
func (k *killed) once(t *testing.T, fault func(*drivertest.Faulty, int), n int) bool {
	d := memory.New(nil)
	id := k.prepare(t, newAccounts(t, d, nil))
	f := drivertest.NewFaulty(d, nil)
	fault(f, n)
	err := k.do(t, newAccounts(t, f, nil), id)
	interrupted := f.Cut() || errors.Is(err, drivertest.ErrInjected) || f.Writes() > n && err != nil

	state := k.state(t, newAccounts(t, d, nil), id)
	require.Contains(t, []string{k.before, k.after}, state, "after %d writes", n)
	if err == nil {
		require.Equal(t, k.after, state, "after %d writes", n)
	}
	moved := newAccounts(t, memory.New(nil), nil)
	_, err = moved.Import(t.Context(), forced, strings.NewReader(export(t, newAccounts(t, d, nil))), nil)
	require.NoError(t, err, "an export after %d writes", n)
	require.Equal(t, state, k.state(t, moved, id), "an export after %d writes", n)
	switch err := k.do(t, newAccounts(t, d, nil), id); {
	case state == k.after && k.again != nil:
		require.ErrorIs(t, err, k.again, "again after %d writes", n)
	default:
		require.NoError(t, err, "again after %d writes", n)
	}
	require.Equal(t, k.after, k.state(t, newAccounts(t, d, nil), id), "again after %d writes", n)

	time.Sleep(accounts.ClaimLife)
	require.NoError(t, newAccounts(t, d, nil).Tidy(t.Context()))
	require.Equal(t, k.after, k.state(t, newAccounts(t, d, nil), id), "tidied after %d writes", n)
	checkWhole(t, d)
	return interrupted
}

// checkWhole demands, after Tidy, that nothing is left of accounts that do not exist, and that each
// name leads to an account that has it, and back.
func checkWhole(t *testing.T, d driver.Driver) {
	t.Helper()
	a := newAccounts(t, d, nil)
	all := keys(t, d)
	for acc, err := range a.List(t.Context(), "") {
		require.NoError(t, err)
		for _, name := range append(slices.Clone(acc.Former), acc.Name) {
			found, err := a.Lookup(t.Context(), name)
			require.NoError(t, err, name)
			require.Equal(t, acc.ID, found.ID, name)
		}
	}
	for _, key := range all {
		if strings.HasPrefix(key, "w/u/") {
			acc, err := a.Account(t.Context(), accounts.ID(key[4:]))
			if err == nil && acc.Kind == accounts.Robot && acc.Removed == nil {
				found, err := a.Lookup(t.Context(), acc.Name)
				require.NoError(t, err, acc.Name)
				require.Equal(t, acc.ID, found.ID, acc.Name)
			}
		}
		var id accounts.ID
		if len(key) >= 20 && (key[:4] == "w/p/" || key[:4] == "w/m/") {
			id = accounts.ID(key[4:20])
			acc, err := a.Account(t.Context(), id)
			require.NoError(t, err, key)
			require.Nil(t, acc.Removed, key)
		}
	}
}

func TestKilledSignUp(t *testing.T) {
	(&killed{
		prepare: func(*testing.T, *accounts.Accounts) accounts.ID { return "" },
		do: func(t *testing.T, a *accounts.Accounts, _ accounts.ID) error {
			_, err := a.SignUp(t.Context(), "ann", password, nil)
			return err
		},
		state: func(t *testing.T, a *accounts.Accounts, _ accounts.ID) string {
			acc, err := a.Lookup(t.Context(), "ann")
			if errors.Is(err, accounts.ErrUnknown) {
				return "none"
			}
			require.NoError(t, err)
			_, err = a.CheckPassword(t.Context(), acc.ID, password)
			require.NoError(t, err)
			return "ann"
		},
		before: "none", after: "ann",
	}).run(t)
}

// A robot that never got its name is no robot, neither here nor where its export goes.
func TestKilledCreateRobot(t *testing.T) {
	(&killed{
		prepare: func(t *testing.T, a *accounts.Accounts) accounts.ID { return newUser(t, a, "ann").ID },
		do: func(t *testing.T, a *accounts.Accounts, id accounts.ID) error {
			_, err := a.CreateRobot(t.Context(), forced, id, "deploy", []accounts.Grant{writeApp})
			return err
		},
		state: func(t *testing.T, a *accounts.Accounts, id accounts.ID) string {
			return fmt.Sprint(robotNames(t, a, id, ""))
		},
		before: "[]", after: "[ann+deploy]", again: accounts.ErrTaken,
	}).run(t)
}

func TestKilledCreateOrganisation(t *testing.T) {
	(&killed{
		prepare: func(t *testing.T, a *accounts.Accounts) accounts.ID { return newUser(t, a, "ann").ID },
		do: func(t *testing.T, a *accounts.Accounts, id accounts.ID) error {
			_, err := a.CreateOrganisation(t.Context(), forced, "acme", id, nil)
			return err
		},
		state: func(t *testing.T, a *accounts.Accounts, id accounts.ID) string {
			acc, err := a.Lookup(t.Context(), "acme")
			groups, gerr := a.Groups(t.Context(), id)
			require.NoError(t, gerr)
			if errors.Is(err, accounts.ErrUnknown) {
				return fmt.Sprint("none", groups)
			}
			require.NoError(t, err)
			require.Equal(t, []accounts.ID{id}, acc.Owners)
			return fmt.Sprint("acme", groups)
		},
		before: "none[]", after: "acme[acme acme/owners]",
	}).run(t)
}

func TestKilledRename(t *testing.T) {
	(&killed{
		prepare: func(t *testing.T, a *accounts.Accounts) accounts.ID { return newUser(t, a, "ann").ID },
		do: func(t *testing.T, a *accounts.Accounts, id accounts.ID) error {
			_, err := a.Rename(t.Context(), forced, id, "anne")
			return err
		},
		state: func(t *testing.T, a *accounts.Accounts, id accounts.ID) string {
			acc, err := a.Account(t.Context(), id)
			require.NoError(t, err)
			found, err := a.Lookup(t.Context(), acc.Name)
			require.NoError(t, err)
			require.Equal(t, id, found.ID)
			return fmt.Sprint(acc.Name, acc.Former)
		},
		before: "ann[]", after: "anne[ann]",
	}).run(t)
}

func TestKilledRelease(t *testing.T) {
	(&killed{
		prepare: func(t *testing.T, a *accounts.Accounts) accounts.ID {
			id := newUser(t, a, "ann").ID
			_, err := a.Rename(t.Context(), forced, id, "anne")
			require.NoError(t, err)
			return id
		},
		do: func(t *testing.T, a *accounts.Accounts, id accounts.ID) error {
			_, err := a.Release(t.Context(), forced, id, "ann")
			return err
		},
		state: func(t *testing.T, a *accounts.Accounts, id accounts.ID) string {
			_, err := a.CreateUser(t.Context(), accounts.Actor{Name: "eve"}, "ann", "", nil)
			require.ErrorIs(t, err, accounts.ErrTaken, "listed or in quarantine")
			if _, err = a.Lookup(t.Context(), "ann"); errors.Is(err, accounts.ErrUnknown) {
				return "released"
			}
			return "former"
		},
		before: "former", after: "released", again: accounts.ErrUnknown,
	}).run(t)
}

func TestKilledRemove(t *testing.T) {
	(&killed{
		prepare: func(t *testing.T, a *accounts.Accounts) accounts.ID {
			ann := newUser(t, a, "ann")
			acme, err := a.CreateOrganisation(t.Context(), forced, "acme", ann.ID, nil)
			require.NoError(t, err)
			bob, err := a.CreateUser(t.Context(), forced, "bob", password, nil)
			require.NoError(t, err)
			require.NoError(t, a.AddMember(t.Context(), forced, acme.ID, bob.ID))
			_, err = a.CreateRobot(t.Context(), forced, bob.ID, "deploy", nil)
			require.NoError(t, err)
			return bob.ID
		},
		do: func(t *testing.T, a *accounts.Accounts, id accounts.ID) error {
			return a.Remove(t.Context(), forced, id)
		},
		state: func(t *testing.T, a *accounts.Accounts, id accounts.ID) string {
			groups, err := a.Groups(t.Context(), id)
			require.NoError(t, err)
			_, rerr := a.Lookup(t.Context(), "bob+deploy")
			if _, err = a.Lookup(t.Context(), "bob"); err == nil {
				return fmt.Sprintf("bob%v%v", groups, rerr)
			}
			return fmt.Sprintf("removed%v%v", groups, rerr)
		},
		before: "bob[acme]<nil>", after: "removed[]" + accounts.ErrUnknown.Error(),
	}).run(t)
}

func TestKilledSetUp(t *testing.T) {
	var token auth.Secret
	(&killed{
		prepare: func(t *testing.T, a *accounts.Accounts) accounts.ID {
			var err error
			token, err = a.SetupToken(t.Context())
			require.NoError(t, err)
			return ""
		},
		do: func(t *testing.T, a *accounts.Accounts, _ accounts.ID) error {
			_, err := a.SetUp(t.Context(), token, "ann", password)
			return err
		},
		state: func(t *testing.T, a *accounts.Accounts, _ accounts.ID) string {
			admins, err := a.Admins(t.Context())
			require.NoError(t, err)
			if len(admins) == 0 {
				return "no admin"
			}
			require.Len(t, admins, 1)
			acc, err := a.Lookup(t.Context(), "ann")
			require.NoError(t, err)
			require.Equal(t, acc.ID, admins[0])
			return "admin"
		},
		before: "no admin", after: "admin",
	}).run(t)
}
