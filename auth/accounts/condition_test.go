package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// errStale is the error of the conditions in these tests.
var errStale = errors.New("stale")

// unless returns an actor whose changes of accounts, secrets and teams fail if the current object is not as it was.
func unless(stale bool) accounts.Actor {
	fail := func() error {
		if stale {
			return errStale
		}
		return nil
	}
	return accounts.Actor{
		If:         func(*accounts.Account) error { return fail() },
		IfPassword: func(string) error { return fail() },
		IfSecret:   func(*accounts.Secret) error { return fail() },
		IfTeam:     func(*accounts.Team) error { return fail() },
	}
}

// TestConditions: a change whose condition fails changes nothing and has no event, for every method that documents the
// condition. The same call succeeds if the condition holds.
func TestConditions(t *testing.T) {
	ctx := t.Context()
	d := memory.New(nil)
	var changes []accounts.Change
	a := newAccounts(t, d, &accounts.Options{Audit: func(_ context.Context, c accounts.Change) {
		changes = append(changes, c)
	}})
	ann, owner := newUser(t, a, "ann"), newUser(t, a, "olaf")
	_, err := a.Rename(ctx, accounts.Actor{}, ann.ID, "anna")
	require.NoError(t, err)
	org, err := a.CreateOrganisation(ctx, accounts.Actor{}, "acme", owner.ID, nil)
	require.NoError(t, err)
	_, err = a.CreateTeam(ctx, accounts.Actor{}, org.ID, "dev", nil)
	require.NoError(t, err)
	robot, err := a.CreateRobot(ctx, accounts.Actor{}, org.ID, "deploy", nil)
	require.NoError(t, err)
	secret, err := a.CreateSecret(ctx, accounts.Actor{}, robot.ID, "ci", nil)
	require.NoError(t, err)
	ignore := func(_ any, err error) error { return err }
	for _, step := range []struct {
		name   string
		change func(by accounts.Actor) error
	}{
		{"Update", func(by accounts.Actor) error {
			acc, err := a.Update(ctx, by, ann.ID, func(p *accounts.Profile) error { p.FullName = "Ann"; return nil })
			return ignore(acc, err)
		}},
		{"Rename", func(by accounts.Actor) error {
			acc, err := a.Rename(ctx, by, ann.ID, "annika")
			return ignore(acc, err)
		}},
		{"Release", func(by accounts.Actor) error { acc, err := a.Release(ctx, by, ann.ID, "ann"); return ignore(acc, err) }},
		{"Disable", func(by accounts.Actor) error { acc, err := a.Disable(ctx, by, ann.ID); return ignore(acc, err) }},
		{"Enable", func(by accounts.Actor) error { acc, err := a.Enable(ctx, by, ann.ID); return ignore(acc, err) }},
		{"SetPassword", func(by accounts.Actor) error { return a.SetPassword(ctx, by, ann.ID, password) }},
		{"SetPassword to none", func(by accounts.Actor) error { return a.SetPassword(ctx, by, ann.ID, "") }},
		{"UpdateRobot", func(by accounts.Actor) error {
			acc, err := a.UpdateRobot(ctx, by, robot.ID, []accounts.Grant{{Repositories: "**", Role: accounts.Read}})
			return ignore(acc, err)
		}},
		{"UpdateTeam", func(by accounts.Actor) error {
			team, err := a.UpdateTeam(ctx, by, org.ID, "dev", func(t *accounts.Team) error { t.Description = "D"; return nil })
			return ignore(team, err)
		}},
		{"RemoveTeam", func(by accounts.Actor) error { return a.RemoveTeam(ctx, by, org.ID, "dev") }},
		{"RotateSecret", func(by accounts.Actor) error {
			made, err := a.RotateSecret(ctx, by, robot.ID, secret.ID, time.Hour)
			return ignore(made, err)
		}},
		{"RevokeSecret", func(by accounts.Actor) error { return a.RevokeSecret(ctx, by, robot.ID, secret.ID) }},
		{"Remove", func(by accounts.Actor) error { return a.Remove(ctx, by, robot.ID) }},
	} {
		changes = nil
		before := contents(t, d)
		require.ErrorIs(t, step.change(unless(true)), errStale, step.name)
		require.Equal(t, before, contents(t, d), step.name)
		require.Empty(t, changes, step.name)
		require.NoError(t, step.change(unless(false)), step.name)
		require.NotEqual(t, before, contents(t, d), step.name)
		require.Len(t, changes, 1, step.name)
	}
}

// TestConditionIsExact: of many concurrent changes on the condition that the account is as it was read, one is made.
func TestConditionIsExact(t *testing.T) {
	a := newAccounts(t, memory.New(nil), nil)
	ann := newUser(t, a, "ann")
	var made atomic.Int32
	for round := range 5 {
		made.Store(0)
		now, err := a.Find(t.Context(), "ann")
		require.NoError(t, err)
		by := accounts.Actor{If: func(current *accounts.Account) error {
			if current.FullName != now.FullName {
				return errStale
			}
			return nil
		}}
		var group errgroup.Group
		for i := range 10 {
			group.Go(func() error {
				_, err := a.Update(t.Context(), by, ann.ID, func(p *accounts.Profile) error {
					p.FullName = fmt.Sprintf("Ann %d.%d", round, i)
					return nil
				})
				if err == nil {
					made.Add(1)
				} else if !errors.Is(err, errStale) {
					return err
				}
				return nil
			})
		}
		require.NoError(t, group.Wait())
		require.EqualValues(t, 1, made.Load())
	}
}

// TestPasswordConditionIsExact: a password that was right when it was checked cannot replace a newer one.
func TestPasswordConditionIsExact(t *testing.T) {
	ctx := t.Context()
	a := newAccounts(t, memory.New(nil), nil)
	ann, err := a.CreateUser(ctx, accounts.Actor{}, "ann", password, nil)
	require.NoError(t, err)
	version, err := a.CheckPassword(ctx, ann.ID, password)
	require.NoError(t, err)
	require.NoError(t, a.SetPassword(ctx, accounts.Actor{}, ann.ID, password+" 2"))
	by := accounts.Actor{IfPassword: func(current string) error {
		if current != version {
			return errStale
		}
		return nil
	}}
	require.ErrorIs(t, a.SetPassword(ctx, by, ann.ID, password+" 3"), errStale)
	require.ErrorIs(t, a.SetPassword(ctx, by, ann.ID, ""), errStale)
	_, err = a.CheckPassword(ctx, ann.ID, password+" 2")
	require.NoError(t, err)
}

// TestConditionOfRobot: the condition of a robot sees the name with the present namespace.
func TestConditionOfRobot(t *testing.T) {
	ctx := t.Context()
	a := newAccounts(t, memory.New(nil), nil)
	ann := newUser(t, a, "ann")
	robot, err := a.CreateRobot(ctx, accounts.Actor{}, ann.ID, "deploy", nil)
	require.NoError(t, err)
	_, err = a.Rename(ctx, accounts.Actor{}, ann.ID, "anna")
	require.NoError(t, err)
	name := ""
	_, err = a.Disable(ctx, accounts.Actor{If: func(current *accounts.Account) error {
		name = current.Name
		return nil
	}}, robot.ID)
	require.NoError(t, err)
	require.Equal(t, "anna+deploy", name)
}

// contents returns all objects of a driver.
func contents(t *testing.T, d driver.Driver) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, key := range keys(t, d) {
		body, _, err := d.Open(t.Context(), key, nil)
		require.NoError(t, err)
		b, err := io.ReadAll(body)
		require.NoError(t, err)
		require.NoError(t, body.Close())
		all[key] = string(b)
	}
	return all
}
