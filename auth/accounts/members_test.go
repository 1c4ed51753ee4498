package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

var writeApp = accounts.Grant{Repositories: "app/**", Role: accounts.Write}

func TestMembers(t *testing.T) {
	ctx := t.Context()
	a := open(t, memory.New(nil), nil)
	ids := newUsers(t, a, "ann", "bob", "cyd")
	org := newOrganisation(t, a, "acme", ids[0])
	newTeam(t, a, org, "dev", writeApp)
	newTeam(t, a, org, "ops")
	require.ErrorIs(t, a.RemoveMember(ctx, operator, org, ids[1]), accounts.ErrUnknown)
	require.NoError(t, a.AddMember(ctx, operator, org, ids[1]))
	require.NoError(t, a.AddMember(ctx, operator, org, ids[1]), "again")
	require.NoError(t, a.JoinTeam(ctx, operator, org, "ops", ids[1]))
	require.NoError(t, a.JoinTeam(ctx, operator, org, "dev", ids[1]))
	require.NoError(t, a.JoinTeam(ctx, operator, org, "dev", ids[1]), "again")
	require.NoError(t, a.JoinTeam(ctx, operator, org, "dev", ids[2]), "who becomes a member")
	require.NoError(t, a.JoinTeam(ctx, operator, org, "ops", ids[0]), "an owner")

	m := members(t, a, org)
	require.Len(t, m, 3)
	require.Equal(t, []string{"dev", "ops"}, m[ids[1]].Teams)
	require.False(t, m[ids[1]].Owner)
	require.Equal(t, []string{"ops"}, m[ids[0]].Teams)
	require.True(t, m[ids[0]].Owner)
	require.WithinDuration(t, time.Now(), m[ids[2]].Since, time.Minute)

	grants, err := a.Grants(ctx, org, ids[1])
	require.NoError(t, err)
	require.Equal(t, []accounts.Grant{writeApp}, grants)
	groups, err := a.Groups(ctx, ids[1])
	require.NoError(t, err)
	require.Equal(t, []string{"acme", "acme/dev", "acme/ops"}, groups)
	groups, err = a.Groups(ctx, ids[0])
	require.NoError(t, err)
	require.Equal(t, []string{"acme", "acme/ops", "acme/owners"}, groups)

	require.NoError(t, a.LeaveTeam(ctx, operator, org, "ops", ids[1]))
	require.ErrorIs(t, a.LeaveTeam(ctx, operator, org, "ops", ids[1]), accounts.ErrUnknown)
	require.Equal(t, []string{"dev"}, members(t, a, org)[ids[1]].Teams)
	require.NoError(t, a.RemoveMember(ctx, operator, org, ids[1]))
	grants, err = a.Grants(ctx, org, ids[1])
	require.NoError(t, err)
	require.Empty(t, grants)
	groups, err = a.Groups(ctx, ids[1])
	require.NoError(t, err)
	require.Empty(t, groups)
	require.NoError(t, a.AddMember(ctx, operator, org, ids[1]))
	require.Empty(t, members(t, a, org)[ids[1]].Teams, "who comes back is in no team")
}

func TestMembershipsAreThoseOfMembers(t *testing.T) {
	ctx := t.Context()
	a := open(t, memory.New(nil), nil)
	ids := newUsers(t, a, "ann", "bob")
	var orgs []accounts.ID
	for i := range 20 {
		org := newOrganisation(t, a, fmt.Sprintf("acme%d", i+2), ids[0])
		require.NoError(t, a.AddMember(ctx, operator, org, ids[1]))
		if i%2 == 0 {
			require.NoError(t, a.RemoveMember(ctx, operator, org, ids[1]))
		} else {
			orgs = append(orgs, org)
		}
	}
	slices.Sort(orgs)
	var found []accounts.ID
	for m, err := range a.Memberships(ctx, ids[1], "") {
		require.NoError(t, err)
		require.Equal(t, ids[1], m.User)
		found = append(found, m.Organisation)
	}
	require.Equal(t, orgs, found)
}

// A removed user, a disabled one, and a removed organisation give nothing.
func TestWhatIsRemovedGivesNothing(t *testing.T) {
	ctx := t.Context()
	d := memory.New(nil)
	a, b := open(t, d, nil), open(t, d, &accounts.Options{Refresh: time.Nanosecond})
	ids := newUsers(t, a, "ann", "bob", "cyd", "dee")
	org := newOrganisation(t, a, "acme", ids[0])
	newTeam(t, a, org, "dev", writeApp)
	for _, id := range ids[1:] {
		require.NoError(t, a.JoinTeam(ctx, operator, org, "dev", id))
	}
	nothing := func(id accounts.ID) {
		for _, a := range []*accounts.Accounts{a, b} {
			grants, err := a.Grants(ctx, org, id)
			require.NoError(t, err)
			require.Empty(t, grants)
			groups, err := a.Groups(ctx, id)
			require.NoError(t, err)
			require.Empty(t, groups)
		}
	}
	require.NoError(t, a.Remove(ctx, operator, ids[1]))
	nothing(ids[1])
	require.NotContains(t, members(t, a, org), ids[1])
	_, err := a.Disable(ctx, operator, ids[2])
	require.NoError(t, err)
	nothing(ids[2])
	require.Contains(t, members(t, a, org), ids[2])
	require.ErrorIs(t, a.JoinTeam(ctx, operator, org, "dev", ids[2]), accounts.ErrUnknown)
	require.NoError(t, a.Remove(ctx, operator, org))
	nothing(ids[0])
	nothing(ids[3])
	for _, m := range a.Members(ctx, org, "") {
		require.ErrorIs(t, m, accounts.ErrUnknown)
	}
	require.NoError(t, a.Remove(ctx, operator, ids[0]), "the owner of a removed organisation")
}

func TestMembersArguments(t *testing.T) {
	ctx := t.Context()
	a := open(t, memory.New(nil), nil)
	ids := newUsers(t, a, "ann", "bob")
	org := newOrganisation(t, a, "acme", ids[0])
	newTeam(t, a, org, "dev")
	for _, bad := range []accounts.ID{ids[0], "", "x/../y", "aaaaaaaaaaaaaaaa"} {
		require.ErrorIs(t, a.AddMember(ctx, operator, bad, ids[1]), accounts.ErrUnknown)
		require.ErrorIs(t, a.JoinTeam(ctx, operator, bad, "dev", ids[1]), accounts.ErrUnknown)
		require.ErrorIs(t, a.LeaveTeam(ctx, operator, bad, "dev", ids[1]), accounts.ErrUnknown)
		for _, err := range a.Members(ctx, bad, "") {
			require.ErrorIs(t, err, accounts.ErrUnknown)
		}
		grants, err := a.Grants(ctx, bad, ids[1])
		require.NoError(t, err)
		require.Empty(t, grants)
	}
	for _, bad := range []accounts.ID{org, "", "x/../y", "aaaaaaaaaaaaaaaa"} {
		require.ErrorIs(t, a.AddMember(ctx, operator, org, bad), accounts.ErrUnknown)
		require.ErrorIs(t, a.JoinTeam(ctx, operator, org, "dev", bad), accounts.ErrUnknown)
		require.ErrorIs(t, a.LeaveTeam(ctx, operator, org, "dev", bad), accounts.ErrUnknown)
		grants, err := a.Grants(ctx, org, bad)
		require.NoError(t, err)
		require.Empty(t, grants)
		groups, err := a.Groups(ctx, bad)
		require.NoError(t, err)
		require.Empty(t, groups)
	}
	for _, bad := range []string{"", "ops", "owners", "../dev", "DEV", "dev/x"} {
		require.ErrorIs(t, a.JoinTeam(ctx, operator, org, bad, ids[1]), accounts.ErrUnknown, bad)
		require.ErrorIs(t, a.LeaveTeam(ctx, operator, org, bad, ids[0]), accounts.ErrUnknown, bad)
	}
	require.Len(t, members(t, a, org), 1, "nothing half done")
}

// Calls that end a membership win over those that keep it, and every membership is found by the organisation and by
// the user alike.
func TestMembershipsUnderConcurrency(t *testing.T) {
	type call func(a *accounts.Accounts, ctx context.Context, org, user accounts.ID) error
	calls := map[string]call{
		"RemoveMember": func(a *accounts.Accounts, ctx context.Context, org, user accounts.ID) error {
			return a.RemoveMember(ctx, operator, org, user)
		},
		"RemoveOwner": func(a *accounts.Accounts, ctx context.Context, org, user accounts.ID) error {
			return a.RemoveOwner(ctx, operator, org, user)
		},
		"AddMember": func(a *accounts.Accounts, ctx context.Context, org, user accounts.ID) error {
			return a.AddMember(ctx, operator, org, user)
		},
		"AddOwner": func(a *accounts.Accounts, ctx context.Context, org, user accounts.ID) error {
			return a.AddOwner(ctx, operator, org, user)
		},
		"JoinTeam": func(a *accounts.Accounts, ctx context.Context, org, user accounts.ID) error {
			return a.JoinTeam(ctx, operator, org, "dev", user)
		},
		"tidyUser": func(a *accounts.Accounts, ctx context.Context, _, user accounts.ID) error {
			return a.TidyUser(ctx, user)
		},
	}
	for _, row := range []struct {
		owner bool // the user is one before
		calls []string
		// want is what the user is afterwards, given the errors: "", "member", "owner", or "any".
		want func(errs []error) string
	}{
		{true, []string{"RemoveMember", "RemoveOwner"}, func([]error) string { return "" }},
		{true, []string{"RemoveMember", "RemoveOwner", "RemoveMember"}, func([]error) string { return "" }},
		{false, []string{"RemoveMember", "RemoveMember", "tidyUser"}, func([]error) string { return "" }},
		{false, []string{"RemoveMember", "tidyUser", "AddMember", "tidyUser"}, func([]error) string { return "any" }},
		{false, []string{"RemoveMember", "tidyUser", "AddOwner", "tidyUser"}, func([]error) string { return "any" }},
		{false, []string{"AddOwner", "JoinTeam", "tidyUser"}, func([]error) string { return "owner" }},
		{true, []string{"RemoveOwner", "JoinTeam", "tidyUser"}, func([]error) string { return "member" }},
		{true, []string{"RemoveMember", "AddOwner", "JoinTeam"}, func([]error) string { return "any" }},
		{true, []string{"RemoveMember", "AddMember", "RemoveOwner", "tidyUser"}, func([]error) string { return "any" }},
		{false, []string{"RemoveMember", "AddMember", "AddOwner", "RemoveOwner", "tidyUser"},
			func([]error) string { return "any" }},
	} {
		t.Run(fmt.Sprint(row.owner, row.calls), func(t *testing.T) {
			var org, user accounts.ID
			interleaved(t, 150, func(t *testing.T, a, b *accounts.Accounts) []func(context.Context) error {
				ids := newUsers(t, a, "ann", "bob")
				user = ids[1]
				org = newOrganisation(t, a, "acme", ids[0])
				newTeam(t, a, org, "dev", writeApp)
				require.NoError(t, a.AddMember(t.Context(), operator, org, user))
				if row.owner {
					require.NoError(t, a.AddOwner(t.Context(), operator, org, user))
				}
				time.Sleep(2 * time.Hour) // so that hints are old
				var list []func(context.Context) error
				for i, name := range row.calls {
					at := []*accounts.Accounts{a, b}[i%2]
					list = append(list, func(ctx context.Context) error { return calls[name](at, ctx, org, user) })
				}
				return list
			}, func(t *testing.T, a *accounts.Accounts, errs []error) {
				succeeded(t, errs, accounts.ErrUnknown)
				m, is := members(t, a, org)[user]
				got := map[bool]string{true: "member"}[is]
				if m.Owner {
					got = "owner"
				}
				if want := row.want(errs); want != "any" {
					require.Equal(t, want, got)
				}
				var groups []string
				if is {
					groups = append(groups, "acme")
				}
				for _, team := range m.Teams {
					groups = append(groups, "acme/"+team)
				}
				if m.Owner {
					groups = append(groups, "acme/owners")
				}
				found, err := a.Groups(t.Context(), user)
				require.NoError(t, err)
				require.Equal(t, groups, found)
			})
		})
	}
}

// A list costs what is taken of it.
func TestMembersCostThePage(t *testing.T) {
	ctx := t.Context()
	d := drivertest.NewFaulty(memory.New(nil), nil)
	a := open(t, d, nil)
	owner := newUsers(t, a, "owner-of-it")[0]
	org := newOrganisation(t, a, "acme", owner)
	all := []accounts.ID{owner}
	for i := range 300 {
		id := newUsers(t, a, fmt.Sprintf("user-%03d", i+200))[0]
		require.NoError(t, a.AddMember(ctx, operator, org, id))
		all = append(all, id)
	}
	slices.Sort(all)
	b := open(t, d, nil)
	after, calls := accounts.ID(""), d.Count("")
	var found []accounts.ID
	for m, err := range b.Members(ctx, org, all[99]) {
		require.NoError(t, err)
		if found = append(found, m.User); len(found) == 20 {
			break
		}
	}
	require.Equal(t, all[100:120], found)
	require.Less(t, d.Count("")-calls, 2*63+5, "two requests for each member, and those ahead")
	found = nil
	for {
		n := len(found)
		for m, err := range b.Members(ctx, org, after) {
			require.NoError(t, err)
			after = m.User
			if found = append(found, m.User); len(found)%50 == 0 {
				break
			}
		}
		if len(found) == n {
			break
		}
	}
	require.Equal(t, all, found, "pages have everybody once")
}

// The error of a list is its last element.
func TestListsEndWithAnError(t *testing.T) {
	ctx := t.Context()
	broken := errors.New("broken")
	fail := false
	d := drivertest.NewFaulty(memory.New(nil), &drivertest.FaultyOptions{
		Before: func(_ context.Context, c drivertest.Call) error {
			if fail && c.Op == "Open" {
				return broken
			}
			return nil
		}})
	a := open(t, d, nil)
	ids := newUsers(t, a, "ann", "bob")
	org := newOrganisation(t, a, "acme", ids[0])
	newTeam(t, a, org, "dev")
	require.NoError(t, a.AddMember(ctx, operator, org, ids[1]))
	n := 0
	for m, err := range a.Members(ctx, org, "") {
		if n++; n == 1 {
			require.NoError(t, err)
			require.NotNil(t, m)
			fail = true
			continue
		}
		require.ErrorIs(t, err, broken)
	}
	require.Equal(t, 2, n)
	_, err := open(t, d, nil).Groups(ctx, ids[1])
	require.ErrorIs(t, err, broken, "no groups is not the answer if it is not known")
	_, err = open(t, d, nil).Grants(ctx, org, ids[1])
	require.ErrorIs(t, err, broken)
}
