package accounts_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// member returns accounts in which bob is in three teams of each of n organisations. The last one is returned.
func memberOf(t testing.TB, n int) (d *drivertest.Faulty, a *accounts.Accounts, org, bob accounts.ID) {
	d = drivertest.NewFaulty(memory.New(nil), nil)
	a = open(t, d, &accounts.Options{Refresh: 1 << 40})
	ids := newUsers(t, a, "ann", "bob")
	for i := range n {
		org = newOrganisation(t, a, fmt.Sprintf("org-%03d", i+200), ids[0])
		for _, team := range []string{"dev", "ops", "qa"} {
			newTeam(t, a, org, team, writeApp, accounts.Grant{Repositories: "**", Role: accounts.Read})
			require.NoError(t, a.JoinTeam(t.Context(), operator, org, team, ids[1]))
		}
		setVisibility(t, a, fmt.Sprintf("org-%03d/app", i+200), accounts.Public)
	}
	return d, a, org, ids[1]
}

// Grants, Groups, IsAdmin and Visibility make no request while the facts are in memory.
func TestAnswersFromMemory(t *testing.T) {
	ctx := t.Context()
	d, a, org, bob := memberOf(t, 5)
	require.NoError(t, a.AddAdmin(ctx, operator, bob))
	ask := func() {
		grants, err := a.Grants(ctx, org, bob)
		require.NoError(t, err)
		require.Len(t, grants, 6)
		groups, err := a.Groups(ctx, bob)
		require.NoError(t, err)
		require.Len(t, groups, 5*4)
		is, err := a.IsAdmin(ctx, bob)
		require.NoError(t, err)
		require.True(t, is)
		require.Equal(t, accounts.Public, visibility(t, a, "org-200/app"))
	}
	ask()
	n := d.Count("")
	ask()
	require.Equal(t, n, d.Count(""))
}

func BenchmarkDirectory(b *testing.B) {
	ctx := b.Context()
	for _, n := range []int{1, 5} {
		_, a, org, bob := memberOf(b, n)
		b.Run(fmt.Sprintf("Grants of 3 teams, %d organisations", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = a.Grants(ctx, org, bob)
			}
		})
		b.Run(fmt.Sprintf("Groups of %d organisations", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = a.Groups(ctx, bob)
			}
		})
	}
	_, a, _, bob := memberOf(b, 1)
	b.Run("IsAdmin", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = a.IsAdmin(ctx, bob)
		}
	})
	for name, repo := range map[string]string{"set": "org-200/app", "not set": "org-200/other"} {
		b.Run("Visibility, "+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = a.Visibility(ctx, repo)
			}
		})
	}
}
