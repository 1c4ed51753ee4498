package accounts_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/memory"
)

func TestAdmins(t *testing.T) {
	ctx := t.Context()
	a := open(t, memory.New(nil), nil)
	ids := newUsers(t, a, "ann", "bob", "cyd")
	admins, err := a.Admins(ctx)
	require.NoError(t, err)
	require.Empty(t, admins)
	is, err := a.IsAdmin(ctx, ids[0])
	require.NoError(t, err)
	require.False(t, is)
	require.ErrorIs(t, a.RemoveAdmin(ctx, operator, ids[0]), accounts.ErrUnknown)

	require.NoError(t, a.AddAdmin(ctx, operator, ids[0]))
	require.NoError(t, a.AddAdmin(ctx, operator, ids[0]), "again")
	is, err = a.IsAdmin(ctx, ids[0])
	require.NoError(t, err)
	require.True(t, is, "at once in this process")
	require.ErrorIs(t, a.RemoveAdmin(ctx, operator, ids[0]), accounts.ErrLast)
	require.ErrorIs(t, a.RemoveAdmin(ctx, operator, ids[1]), accounts.ErrUnknown)

	require.NoError(t, a.AddAdmin(ctx, operator, ids[1]))
	admins, err = a.Admins(ctx)
	require.NoError(t, err)
	require.Equal(t, slices.Sorted(slices.Values(ids[:2])), admins)
	_, err = a.Disable(ctx, operator, ids[0])
	require.ErrorIs(t, err, accounts.ErrInUse)
	require.ErrorIs(t, a.Remove(ctx, operator, ids[0]), accounts.ErrInUse)
	require.NoError(t, a.RemoveAdmin(ctx, operator, ids[0]))
	_, err = a.Disable(ctx, operator, ids[0])
	require.NoError(t, err)

	org := newOrganisation(t, a, "acme", ids[1])
	robot, err := a.CreateRobot(ctx, operator, org, "deploy", nil)
	require.NoError(t, err)
	for _, bad := range []accounts.ID{ids[0], org, robot.ID, "", "x/../y", "aaaaaaaaaaaaaaaa"} {
		require.ErrorIs(t, a.AddAdmin(ctx, operator, bad), accounts.ErrUnknown, "%s", bad)
	}
}

func TestThereAreAtMost100Admins(t *testing.T) {
	ctx := t.Context()
	a := open(t, memory.New(nil), nil)
	for i := range 100 {
		require.NoError(t, a.AddAdmin(ctx, operator, newUsers(t, a, fmt.Sprintf("user-%03d", i+200))[0]))
	}
	require.ErrorIs(t, a.AddAdmin(ctx, operator, newUsers(t, a, "last-one")[0]), accounts.ErrLimit)
}

// A user never is an admin and disabled or removed, in whatever order the requests of the calls come.
func TestAddAdminAgainstDisableAndRemove(t *testing.T) {
	mark := map[string]func(*accounts.Accounts, context.Context, accounts.ID) error{
		"Disable": func(a *accounts.Accounts, ctx context.Context, id accounts.ID) error {
			_, err := a.Disable(ctx, operator, id)
			return err
		},
		"Remove": func(a *accounts.Accounts, ctx context.Context, id accounts.ID) error {
			return a.Remove(ctx, operator, id)
		},
	}
	for name, mark := range mark {
		t.Run(name, func(t *testing.T) {
			var user accounts.ID
			outcomes := map[bool]int{}
			interleaved(t, 200, func(t *testing.T, a, b *accounts.Accounts) []func(context.Context) error {
				ids := newUsers(t, a, "ann", "bob")
				user = ids[1]
				require.NoError(t, a.AddAdmin(t.Context(), operator, ids[0]))
				return []func(context.Context) error{
					func(ctx context.Context) error { return a.AddAdmin(ctx, operator, user) },
					func(ctx context.Context) error { return b.AddAdmin(ctx, operator, user) },
					func(ctx context.Context) error { return mark(b, ctx, user) },
				}
			}, func(t *testing.T, a *accounts.Accounts, errs []error) {
				succeeded(t, errs, accounts.ErrUnknown, accounts.ErrInUse)
				is, err := a.IsAdmin(t.Context(), user)
				require.NoError(t, err)
				account, err := a.Account(t.Context(), user)
				require.NoError(t, err)
				require.NotEqual(t, is, !account.Active(), "exactly one of the calls has won")
				require.Equal(t, errs[2] == nil, !account.Active())
				require.Equal(t, errs[0] == nil || errs[1] == nil, is)
				outcomes[is]++
			})
			require.Len(t, outcomes, 2, "both orders were tested")
		})
	}
}

func TestTheLastAdminStays(t *testing.T) {
	interleaved(t, 100, func(t *testing.T, a, b *accounts.Accounts) []func(context.Context) error {
		var calls []func(context.Context) error
		for i, id := range newUsers(t, a, "ann", "bob", "cyd") {
			require.NoError(t, a.AddAdmin(t.Context(), operator, id))
			at := []*accounts.Accounts{a, b}[i%2]
			calls = append(calls, func(ctx context.Context) error { return at.RemoveAdmin(ctx, operator, id) })
		}
		return calls
	}, func(t *testing.T, a *accounts.Accounts, errs []error) {
		require.Equal(t, 2, succeeded(t, errs, accounts.ErrLast))
		admins, err := a.Admins(t.Context())
		require.NoError(t, err)
		require.Len(t, admins, 1)
	})
}
