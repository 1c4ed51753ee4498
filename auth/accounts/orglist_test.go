package accounts_test

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

func organisations(t *testing.T, a *accounts.Accounts, after string) []string {
	t.Helper()
	var all []string
	for acc, err := range a.ListOrganisations(t.Context(), after) {
		require.NoError(t, err)
		require.Equal(t, accounts.Organisation, acc.Kind)
		all = append(all, acc.Name)
	}
	return all
}

// TestListOrganisations follows organisations through renames, removals, imports and Tidy.
func TestListOrganisations(t *testing.T) {
	synctest.Test(t, testListOrganisations)
}

func testListOrganisations(t *testing.T) {
	ctx := t.Context()
	d := memory.New(nil)
	a := newAccounts(t, d, nil)
	ann := newUser(t, a, "ann")
	ids := map[string]accounts.ID{}
	for _, name := range []string{"acme", "b-corp", "corp"} {
		org, err := a.CreateOrganisation(ctx, forced, name, ann.ID, nil)
		require.NoError(t, err)
		ids[name] = org.ID
	}
	_, err := a.CreateOrganisation(ctx, forced, "ann", ann.ID, nil)
	require.ErrorIs(t, err, accounts.ErrTaken)
	rename := func(id accounts.ID, name string) {
		_, err := a.Rename(ctx, forced, id, name)
		require.NoError(t, err)
	}
	require.Equal(t, []string{"acme", "b-corp", "corp"}, organisations(t, a, ""))
	require.Equal(t, []string{"corp"}, organisations(t, a, "b-corp"))
	tidy := func() {
		time.Sleep(2 * time.Hour)
		require.NoError(t, a.Tidy(ctx))
	}
	rename(ids["acme"], "zeta")
	require.Equal(t, []string{"b-corp", "corp", "zeta"}, organisations(t, a, ""))
	tidy()
	require.Equal(t, []string{"b-corp", "corp", "zeta"}, organisations(t, a, ""))
	rename(ids["acme"], "acme") // a former name, whose hint was deleted
	rename(ids["corp"], "c-orp")
	tidy()
	require.Equal(t, []string{"acme", "b-corp", "c-orp"}, organisations(t, a, ""))
	require.NoError(t, a.Remove(ctx, forced, ids["b-corp"]))
	require.Equal(t, []string{"acme", "c-orp"}, organisations(t, a, ""))
	tidy()
	hints := 0
	for info, err := range d.List(ctx, "w/g/", nil) {
		require.NoError(t, err)
		require.NotEmpty(t, info.Key)
		hints++
	}
	require.Equal(t, 2, hints)

	var file bytes.Buffer
	require.NoError(t, a.Export(ctx, &file))
	moved := newAccounts(t, memory.New(nil), nil)
	_, err = moved.Import(ctx, forced, &file, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"acme", "c-orp"}, organisations(t, moved, ""))
}

// TestListOrganisationsCost: the cost does not depend on the number of users.
func TestListOrganisationsCost(t *testing.T) {
	d := memory.New(nil)
	a := newAccounts(t, d, nil)
	for i := range 2000 {
		newUser(t, a, fmt.Sprintf("u%06d", i))
	}
	ann := newUser(t, a, "ann")
	for i := range 3 {
		_, err := a.CreateOrganisation(t.Context(), forced, fmt.Sprintf("v%06d", i), ann.ID, nil)
		require.NoError(t, err)
	}
	f := drivertest.NewFaulty(d, nil)
	require.Len(t, organisations(t, newAccounts(t, f, nil), ""), 3)
	require.LessOrEqual(t, f.Count(""), 1+2*3)
}
