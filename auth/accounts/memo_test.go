package accounts_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/memory"
)

// What another process has changed takes effect within Options.Refresh, although an answer was put together in between
// from facts that were in memory.
func TestAnAnswerIsNotOlderThanItsFacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		d := memory.New(nil)
		a, b := open(t, d, nil), open(t, d, nil)
		ids := newUsers(t, a, "ann", "bob")
		org := newOrganisation(t, a, "acme", ids[0])
		newTeam(t, a, org, "dev", writeApp)
		require.NoError(t, a.JoinTeam(ctx, operator, org, "dev", ids[1]))
		groups := func() []string {
			groups, err := b.Groups(ctx, ids[1])
			require.NoError(t, err)
			return groups
		}
		grants := func() []accounts.Grant {
			grants, err := b.Grants(ctx, org, ids[1])
			require.NoError(t, err)
			return grants
		}
		require.Len(t, grants(), 1) // reads the membership and the team
		time.Sleep(time.Second)
		require.NoError(t, a.RemoveTeam(ctx, operator, org, "dev"))
		time.Sleep(accounts.DefaultRefresh - 2*time.Second)
		require.Equal(t, []string{"acme", "acme/dev"}, groups(), "from memory")
		time.Sleep(2 * time.Second)
		require.Equal(t, []string{"acme"}, groups())
		require.Empty(t, grants())
	})
}

// Every kind of change is seen at once by the process that makes it, however its answers are kept.
func TestOwnChangesAreSeenAtOnce(t *testing.T) {
	ctx := t.Context()
	a := open(t, memory.New(nil), nil)
	ids := newUsers(t, a, "ann", "bob")
	org := newOrganisation(t, a, "acme", ids[0])
	newTeam(t, a, org, "dev", writeApp)
	for _, row := range []struct {
		change func() error
		want   []string
	}{
		{func() error { return nil }, nil},
		{func() error { return a.AddMember(ctx, operator, org, ids[1]) }, []string{"acme"}},
		{func() error { return a.JoinTeam(ctx, operator, org, "dev", ids[1]) }, []string{"acme", "acme/dev"}},
		{func() error { _, err := a.Rename(ctx, operator, org, "emca"); return err }, []string{"emca", "emca/dev"}},
		{func() error { return a.AddOwner(ctx, operator, org, ids[1]) }, []string{"emca", "emca/dev", "emca/owners"}},
		{func() error { return a.RemoveTeam(ctx, operator, org, "dev") }, []string{"emca", "emca/owners"}},
		{func() error { _, err := a.Disable(ctx, operator, ids[1]); return err }, nil},
		{func() error { _, err := a.Enable(ctx, operator, ids[1]); return err }, []string{"emca", "emca/owners"}},
		{func() error { return a.RemoveOwner(ctx, operator, org, ids[1]) }, []string{"emca"}},
		{func() error { return a.RemoveMember(ctx, operator, org, ids[1]) }, nil},
	} {
		require.NoError(t, row.change())
		groups, err := a.Groups(ctx, ids[1])
		require.NoError(t, err)
		require.Equal(t, row.want, groups)
	}
}
