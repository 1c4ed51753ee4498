package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

func TestTeams(t *testing.T) {
	ctx := t.Context()
	a := open(t, memory.New(nil), nil)
	org := newOrganisation(t, a, "acme", newUsers(t, a, "ann")[0])
	teams, err := a.Teams(ctx, org)
	require.NoError(t, err)
	require.Empty(t, teams)
	newTeam(t, a, org, "ops")
	newTeam(t, a, org, "dev", writeApp)
	_, err = a.CreateTeam(ctx, operator, org, "dev", nil)
	require.ErrorIs(t, err, accounts.ErrTaken)
	for _, name := range []string{"owners", "ovvners", "own-ers"} {
		_, err = a.CreateTeam(ctx, operator, org, name, nil)
		require.ErrorIs(t, err, accounts.ErrTaken, name)
	}
	for _, name := range []string{"", "x", "DEV", "a/b", "../dev", strings.Repeat("a", 40)} {
		_, err = a.CreateTeam(ctx, operator, org, name, nil)
		require.ErrorIs(t, err, accounts.ErrInvalid, name)
	}
	teams, err = a.Teams(ctx, org)
	require.NoError(t, err)
	require.Len(t, teams, 2)
	require.Equal(t, "dev", teams[0].Name)
	require.Equal(t, []accounts.Grant{writeApp}, teams[0].Grants)

	team, err := a.UpdateTeam(ctx, operator, org, "ops", func(team *accounts.Team) error {
		team.Description = "who runs it"
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, "who runs it", team.Description)
	stop := errors.New("stop")
	for name, change := range map[string]struct {
		want   error
		change func(*accounts.Team) error
	}{
		"an error of change": {stop, func(*accounts.Team) error { return stop }},
		"another name":       {accounts.ErrInvalid, func(t *accounts.Team) error { t.Name = "dev"; return nil }},
		"another ID":         {accounts.ErrInvalid, func(t *accounts.Team) error { t.ID = "x"; return nil }},
		"a long text": {accounts.ErrInvalid, func(t *accounts.Team) error {
			t.Description = strings.Repeat("x", 1025)
			return nil
		}},
		"101 grants": {accounts.ErrInvalid, func(t *accounts.Team) error {
			t.Grants = slices.Repeat([]accounts.Grant{writeApp}, 101)
			return nil
		}},
		"a bad pattern": {accounts.ErrInvalid, func(t *accounts.Team) error {
			t.Grants = []accounts.Grant{{Repositories: "!x", Role: accounts.Read}}
			return nil
		}},
		"a bad role": {accounts.ErrInvalid, func(t *accounts.Team) error {
			t.Grants = []accounts.Grant{{Repositories: "x", Role: "god"}}
			return nil
		}},
	} {
		_, err = a.UpdateTeam(ctx, operator, org, "ops", change.change)
		require.ErrorIs(t, err, change.want, name)
	}
	for _, name := range []string{"", "none", "../ops", "OPS"} {
		_, err = a.UpdateTeam(ctx, operator, org, name, func(*accounts.Team) error { return nil })
		require.ErrorIs(t, err, accounts.ErrUnknown, name)
		require.ErrorIs(t, a.RemoveTeam(ctx, operator, org, name), accounts.ErrUnknown, name)
	}
	again, err := a.Teams(ctx, org)
	require.NoError(t, err)
	require.Equal(t, *team, again[1], "nothing half done")
}

func TestATeamThatIsMadeAgainHasNoMembers(t *testing.T) {
	ctx := t.Context()
	a := open(t, memory.New(nil), nil)
	ids := newUsers(t, a, "ann", "bob")
	org := newOrganisation(t, a, "acme", ids[0])
	newTeam(t, a, org, "dev", writeApp)
	require.NoError(t, a.JoinTeam(ctx, operator, org, "dev", ids[1]))
	grants, err := a.Grants(ctx, org, ids[1])
	require.NoError(t, err)
	require.Len(t, grants, 1)
	for range 2 {
		require.NoError(t, a.RemoveTeam(ctx, operator, org, "dev"))
		none := func() {
			grants, err := a.Grants(ctx, org, ids[1])
			require.NoError(t, err)
			require.Empty(t, grants)
			groups, err := a.Groups(ctx, ids[1])
			require.NoError(t, err)
			require.Equal(t, []string{"acme"}, groups)
			require.Empty(t, members(t, a, org)[ids[1]].Teams)
		}
		none()
		newTeam(t, a, org, "dev", writeApp)
		none()
		require.ErrorIs(t, a.LeaveTeam(ctx, operator, org, "dev", ids[1]), accounts.ErrUnknown)
		require.NoError(t, a.JoinTeam(ctx, operator, org, "dev", ids[1]))
		require.Equal(t, []string{"dev"}, members(t, a, org)[ids[1]].Teams)
	}
}

func TestLimitsOfTeams(t *testing.T) {
	ctx := t.Context()
	a := open(t, memory.New(nil), nil)
	ids := newUsers(t, a, "ann", "bob")
	org := newOrganisation(t, a, "acme", ids[0])
	name := func(i int) string { return fmt.Sprintf("team-%03d", i+200) }
	for i := range 500 {
		newTeam(t, a, org, name(i))
		if i < 100 {
			require.NoError(t, a.JoinTeam(ctx, operator, org, name(i), ids[1]))
		}
	}
	_, err := a.CreateTeam(ctx, operator, org, "more", nil)
	require.ErrorIs(t, err, accounts.ErrLimit)
	require.ErrorIs(t, a.JoinTeam(ctx, operator, org, name(200), ids[1]), accounts.ErrLimit)
	require.NoError(t, a.RemoveTeam(ctx, operator, org, name(7)))
	newTeam(t, a, org, name(7))
	require.NoError(t, a.JoinTeam(ctx, operator, org, name(200), ids[1]), "removed teams do not count")
	require.Len(t, members(t, a, org)[ids[1]].Teams, 100)
	teams, err := a.Teams(ctx, org)
	require.NoError(t, err)
	require.Len(t, teams, 500)
}

func TestLimitsHoldWhenManyCreate(t *testing.T) {
	d := drivertest.NewFaulty(memory.New(nil), nil)
	list := []*accounts.Accounts{open(t, d, nil), open(t, d, nil)}
	org := newOrganisation(t, list[0], "acme", newUsers(t, list[0], "ann")[0])
	for i := range 490 {
		newTeam(t, list[0], org, fmt.Sprintf("team-%03d", i+200))
	}
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			_, err := list[i%2].CreateTeam(t.Context(), operator, org, fmt.Sprintf("more-%02d", i+20), nil)
			if err != nil && !errors.Is(err, accounts.ErrLimit) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	teams, err := list[0].Teams(t.Context(), org)
	require.NoError(t, err)
	require.LessOrEqual(t, len(teams), 500)
	require.GreaterOrEqual(t, len(teams), 490)
}

// 32 admins change the same team at once, over two Accounts: no update is lost.
func TestNoUpdateOfATeamIsLost(t *testing.T) {
	const admins, rounds = 32, 3
	d := memory.New(nil)
	list := []*accounts.Accounts{open(t, d, nil), open(t, d, nil)}
	a := list[0]
	ids := newUsers(t, a, "ann", "leaver", "joiner")
	org := newOrganisation(t, a, "acme", ids[0])
	newTeam(t, a, org, "dev")
	var users []accounts.ID
	for i := range admins * rounds {
		users = append(users, newUsers(t, a, fmt.Sprintf("user-%03d", i+200))...)
	}
	for i := range admins {
		newTeam(t, a, org, fmt.Sprintf("team-%02d", i+20))
		require.NoError(t, a.JoinTeam(t.Context(), operator, org, fmt.Sprintf("team-%02d", i+20), ids[1]))
	}
	var all sync.WaitGroup
	errs := make([]error, admins)
	for i := range admins {
		all.Go(func() {
			b := list[i%2]
			for n := range rounds {
				_, err := b.UpdateTeam(t.Context(), operator, org, "dev", func(team *accounts.Team) error {
					team.Grants = append(team.Grants,
						accounts.Grant{Repositories: fmt.Sprintf("app-%d-%d", i, n), Role: accounts.Read})
					return nil
				})
				errs[i] = errors.Join(errs[i], err, b.JoinTeam(t.Context(), operator, org, "dev", users[i*rounds+n]))
			}
			team := fmt.Sprintf("team-%02d", i+20)
			errs[i] = errors.Join(errs[i], b.LeaveTeam(t.Context(), operator, org, team, ids[1]),
				b.JoinTeam(t.Context(), operator, org, team, ids[2]))
		})
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
	b := open(t, d, nil)
	teams, err := b.Teams(t.Context(), org)
	require.NoError(t, err)
	require.Len(t, teams[0].Grants, admins*rounds)
	m := members(t, b, org)
	require.Len(t, m, 1+2+admins*rounds)
	for _, id := range users {
		require.Equal(t, []string{"dev"}, m[id].Teams)
	}
	require.Empty(t, m[ids[1]].Teams)
	require.Len(t, m[ids[2]].Teams, admins)
}

// The team that a call removes is the one that there was when it began.
func TestRemoveTeamUnderConcurrency(t *testing.T) {
	var org accounts.ID
	interleaved(t, 100, func(t *testing.T, a, b *accounts.Accounts) []func(context.Context) error {
		org = newOrganisation(t, a, "acme", newUsers(t, a, "ann")[0])
		newTeam(t, a, org, "dev")
		return []func(context.Context) error{
			func(ctx context.Context) error { return a.RemoveTeam(ctx, operator, org, "dev") },
			func(ctx context.Context) error {
				if err := b.RemoveTeam(ctx, operator, org, "dev"); err != nil {
					return err
				}
				_, err := b.CreateTeam(ctx, operator, org, "dev", nil)
				return err
			},
			func(ctx context.Context) error {
				_, err := a.UpdateTeam(ctx, operator, org, "dev", func(t *accounts.Team) error {
					t.Description = "updated"
					return nil
				})
				return err
			},
		}
	}, func(t *testing.T, a *accounts.Accounts, errs []error) {
		succeeded(t, errs, accounts.ErrUnknown, accounts.ErrTaken)
		teams, err := a.Teams(t.Context(), org)
		require.NoError(t, err)
		require.LessOrEqual(t, len(teams), 1)
	})
}
