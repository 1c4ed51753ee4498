package accounts_test

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/memory"
)

func TestOwners(t *testing.T) {
	ctx := t.Context()
	a := open(t, memory.New(nil), nil)
	ids := newUsers(t, a, "ann", "bob", "cyd")
	org := newOrganisation(t, a, "acme", ids[0])
	require.ErrorIs(t, a.RemoveOwner(ctx, operator, org, ids[0]), accounts.ErrLast)
	require.ErrorIs(t, a.RemoveMember(ctx, operator, org, ids[0]), accounts.ErrLast)
	require.ErrorIs(t, a.RemoveOwner(ctx, operator, org, ids[1]), accounts.ErrUnknown)
	require.ErrorIs(t, a.Remove(ctx, operator, ids[0]), accounts.ErrInUse)

	require.NoError(t, a.AddOwner(ctx, operator, org, ids[1]))
	require.NoError(t, a.AddOwner(ctx, operator, org, ids[1]), "again")
	account, err := a.Account(ctx, org)
	require.NoError(t, err)
	require.Equal(t, slices.Sorted(slices.Values(ids[:2])), account.Owners)
	require.True(t, members(t, a, org)[ids[1]].Owner)

	require.NoError(t, a.RemoveOwner(ctx, operator, org, ids[0]))
	m := members(t, a, org)
	require.Len(t, m, 2, "a former owner is an ordinary member")
	require.False(t, m[ids[0]].Owner)
	require.NoError(t, a.AddOwner(ctx, operator, org, ids[0]), "a member becomes an owner")
	require.NoError(t, a.RemoveMember(ctx, operator, org, ids[0]))
	require.NotContains(t, members(t, a, org), ids[0])
	require.NoError(t, a.Remove(ctx, operator, ids[0]))

	for _, bad := range []accounts.ID{ids[0], org, "", "x/../y", "aaaaaaaaaaaaaaaa"} {
		require.ErrorIs(t, a.AddOwner(ctx, operator, org, bad), accounts.ErrUnknown, "%s", bad)
		if bad != org {
			require.ErrorIs(t, a.AddOwner(ctx, operator, bad, ids[2]), accounts.ErrUnknown, "%s", bad)
		}
		require.ErrorIs(t, a.RemoveOwner(ctx, operator, bad, ids[2]), accounts.ErrUnknown, "%s", bad)
		require.ErrorIs(t, a.RemoveMember(ctx, operator, bad, ids[2]), accounts.ErrUnknown, "%s", bad)
		require.ErrorIs(t, a.RemoveMember(ctx, operator, org, bad), accounts.ErrUnknown, "%s", bad)
	}
}

// owned fails unless the organisation has an owner and all its owners are active users and members.
func owned(t *testing.T, a *accounts.Accounts, org accounts.ID) []accounts.ID {
	account, err := a.Account(t.Context(), org)
	require.NoError(t, err)
	require.NotEmpty(t, account.Owners)
	for _, id := range account.Owners {
		u, err := a.Account(t.Context(), id)
		require.NoError(t, err)
		require.Nil(t, u.Removed)
		require.True(t, members(t, a, org)[id].Owner)
		groups, err := a.Groups(t.Context(), id)
		require.NoError(t, err)
		require.Contains(t, groups, "acme/owners")
	}
	return account.Owners
}

func TestTheLastOwnerStays(t *testing.T) {
	remove := map[string]func(*accounts.Accounts, context.Context, accounts.ID, accounts.ID) error{
		"RemoveOwner": func(a *accounts.Accounts, ctx context.Context, org, id accounts.ID) error {
			return a.RemoveOwner(ctx, operator, org, id)
		},
		"RemoveMember": func(a *accounts.Accounts, ctx context.Context, org, id accounts.ID) error {
			return a.RemoveMember(ctx, operator, org, id)
		},
	}
	for first, one := range remove {
		for second, two := range remove {
			t.Run(first+" against "+second, func(t *testing.T) {
				var org accounts.ID
				interleaved(t, 100, func(t *testing.T, a, b *accounts.Accounts) []func(context.Context) error {
					ids := newUsers(t, a, "ann", "bob")
					org = newOrganisation(t, a, "acme", ids[0])
					require.NoError(t, a.AddOwner(t.Context(), operator, org, ids[1]))
					return []func(context.Context) error{
						func(ctx context.Context) error { return one(a, ctx, org, ids[0]) },
						func(ctx context.Context) error { return two(b, ctx, org, ids[1]) },
					}
				}, func(t *testing.T, a *accounts.Accounts, errs []error) {
					require.Equal(t, 1, succeeded(t, errs, accounts.ErrLast))
					require.Len(t, owned(t, a, org), 1)
				})
			})
		}
	}
}

// A removed user never owns an organisation, and an organisation never is without an owner.
func TestRemoveAgainstAddOwner(t *testing.T) {
	var org, other, user accounts.ID
	outcomes := map[bool]int{}
	interleaved(t, 300, func(t *testing.T, a, b *accounts.Accounts) []func(context.Context) error {
		ids := newUsers(t, a, "ann", "bob")
		other, user = ids[0], ids[1]
		org = newOrganisation(t, a, "acme", other)
		return []func(context.Context) error{
			func(ctx context.Context) error { return a.AddOwner(ctx, operator, org, user) },
			func(ctx context.Context) error { return b.Remove(ctx, operator, user) },
			func(ctx context.Context) error { return b.AddOwner(ctx, operator, org, user) },
			func(ctx context.Context) error { return a.RemoveOwner(ctx, operator, org, other) },
		}
	}, func(t *testing.T, a *accounts.Accounts, errs []error) {
		succeeded(t, errs, accounts.ErrUnknown, accounts.ErrInUse, accounts.ErrLast)
		owns := slices.Contains(owned(t, a, org), user)
		require.NotEqual(t, owns, errs[1] == nil, "the user owns it, or was removed")
		require.Equal(t, owns, errs[0] == nil || errs[2] == nil)
		outcomes[owns]++
	})
	require.Len(t, outcomes, 2, "both orders were tested")
}

func TestRemoveAgainstCreateOrganisation(t *testing.T) {
	var user accounts.ID
	outcomes := map[bool]int{}
	interleaved(t, 200, func(t *testing.T, a, b *accounts.Accounts) []func(context.Context) error {
		user = newUsers(t, a, "ann")[0]
		return []func(context.Context) error{
			func(ctx context.Context) error {
				_, err := a.CreateOrganisation(ctx, operator, "acme", user, nil)
				return err
			},
			func(ctx context.Context) error { return b.Remove(ctx, operator, user) },
		}
	}, func(t *testing.T, a *accounts.Accounts, errs []error) {
		require.Equal(t, 1, succeeded(t, errs, accounts.ErrUnknown, accounts.ErrInUse, accounts.ErrTaken))
		account, err := a.Account(t.Context(), user)
		require.NoError(t, err)
		require.Equal(t, errs[1] == nil, account.Removed != nil)
		if org, err := a.Lookup(t.Context(), "acme"); errs[0] == nil {
			require.NoError(t, err)
			owned(t, a, org.ID)
		} else {
			require.ErrorIs(t, err, accounts.ErrUnknown)
		}
		outcomes[errs[0] == nil]++
	})
	require.Len(t, outcomes, 2, "both orders were tested")
}

// TestGroupsOfNewOrganisation: the founder is in the groups of a new organisation at once, also if the groups were read
// before.
func TestGroupsOfNewOrganisation(t *testing.T) {
	a := open(t, memory.New(nil), nil)
	ann := newUsers(t, a, "ann")[0]
	for _, want := range [][]string{nil, {"acme", "acme/owners"}, {"acme", "acme/owners", "apex", "apex/owners"}} {
		groups, err := a.Groups(t.Context(), ann)
		require.NoError(t, err)
		require.Equal(t, want, groups)
		newOrganisation(t, a, []string{"acme", "apex", "zoo"}[len(want)/2], ann)
	}
}
